"""Does an interval still cover when it says when to stop? `make bench-precision`.

    python -m dspark_bench.evidence.bench_precision [--runs 10000]

Blocks of three and six arms are run again and again from records (`recorded_block`), one request at
a time and in rounds of eight at once, and end by the rule of `metrics.precision`. Counted is how
often the interval of S that is shown in the end holds the S of the whole record, and whether all
leads of the arm that came out first do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.record_turns import AT_ONCE, TURNS
from dspark_bench.evidence.recorded_block import (
    COPY,
    Drawn,
    RecordedBlock,
    RoundPool,
    pool_rounds,
    prompt_runs,
    prompt_truth,
    read_block,
    round_runs,
)
from dspark_bench.evidence.robustness_file import ROBUSTNESS, replace_section, revision
from dspark_bench.metrics.leads import ERROR, PAIR_SIGNS
from dspark_bench.metrics.log_ratio import log_ratio
from dspark_bench.metrics.precision import Looks, plan_looks
from dspark_bench.metrics.student import two_sided_many
from dspark_bench.metrics.units import FloatArray

HEADING: Final = "## Ending by precision"
BLOCKS: Final = {
    3: ("semi_ar 4", "semi_ar 8", "parallel 7"),
    6: ("semi_ar 4", "semi_ar 4" + COPY, "semi_ar 8", "semi_ar 7", "parallel 7", "ar 7"),
}
DRIFTS: Final = {0.1: (0.05, 0.07), 1.0: (0.1, 0.15, 0.2)}
"""Precisions asked for, by what the recorded drift is multiplied by."""
_NAMES: Final = {0.1: "a tenth of the recorded one", 1.0: "as recorded"}
_COLUMNS: Final = (
    "| units | precision | ended at | runs | S covered, worst arm | mean arm | leads covered "
    "| half width |",
    "|---|---|---|---|---|---|---|---|",
)
PROMPTS: Final = (12,) * 8
ROUNDS: Final = (1,) * 12
POOL: Final = 2000
LEAST_SHARE: Final = 0.05
"""Of the runs: a look at which fewer end says too little to be judged by itself."""
_CHUNK: Final = 500
_SEED: Final = 22
BoolArray = NDArray[np.bool_]
Draw = Callable[[int, np.random.Generator], Drawn]


@dataclass(frozen=True, slots=True)
class Judged:
    """N runs as they stand at each of L looks: widths [L, N], of the widest arm; missed [L, N, K]:
    S outside of its interval; misled [L, N]: a lead of the winner outside of its own.
    """

    widths: FloatArray
    missed: BoolArray
    misled: BoolArray


@dataclass(frozen=True, slots=True)
class Ended:
    """What the runs that ended at one look showed, or all of them (look None).

    share: of the runs; covered [K], led: coverage of each arm's S and of the winner's leads; width:
    median of the widest half width.
    """

    look: int | None
    share: float
    covered: FloatArray
    led: float
    width: float


def judge(drawn: Drawn, truth: FloatArray, looks: Looks, units: Sequence[int]) -> Judged:
    """Every run at every look. truth [K]: log S; units: at each look."""
    found = [_at_look(drawn, truth, looks, at) for at in units]
    return Judged(*(np.stack(parts) for parts in zip(*found, strict=True)))


def _at_look(
    drawn: Drawn, truth: FloatArray, looks: Looks, at: int
) -> tuple[FloatArray, BoolArray, BoolArray]:
    tables = drawn.tables[:, :, :at]
    strata = None if drawn.strata is None else drawn.strata[:at]
    found = log_ratio(tables, strata=strata)
    reach = found.widening * two_sided_many(looks.share, found.degrees) * found.error
    missed = np.abs(found.value - truth[:, None]) > reach
    num_arms, num_runs = found.value.shape
    winner = found.value.argmax(axis=0)
    own, share = tables[winner, np.arange(num_runs)], lead_share(num_arms, len(looks.rounds))
    misled = np.zeros(num_runs, dtype=bool)
    for arm in range(num_arms):
        other = winner != arm
        pair = np.concatenate([own[other], tables[arm][other]], axis=-1)
        lead = log_ratio(pair, PAIR_SIGNS, strata)
        width = lead.widening * two_sided_many(share, lead.degrees) * lead.error
        misled[other] |= np.abs(lead.value - truth[winner[other]] + truth[arm]) > width
    return np.expm1(reach.max(axis=0)), missed.T, misled


def lead_share(num_arms: int, num_looks: int) -> float:
    """What the interval of one lead covers, as in `find_leads`."""
    return 1 - ERROR / num_looks / (num_arms * (num_arms - 1) // 2)


def simulate(
    draw: Draw, truth: FloatArray, looks: Looks, units: Sequence[int], num_runs: int
) -> Judged:
    """So many runs, some at a time. draw: of a number of runs."""
    random = np.random.default_rng(_SEED)
    sizes = [min(_CHUNK, num_runs - start) for start in range(0, num_runs, _CHUNK)]
    parts = [judge(draw(size, random), truth, looks, units) for size in sizes]
    return Judged(
        np.concatenate([part.widths for part in parts], axis=1),
        np.concatenate([part.missed for part in parts], axis=1),
        np.concatenate([part.misled for part in parts], axis=1),
    )


def ended(judged: Judged, precision: float) -> list[Ended]:
    """By look, then all runs together: each ends where it is precise enough, or at the last."""
    is_enough = judged.widths <= precision
    is_enough[-1] = True
    stop, runs = is_enough.argmax(axis=0), np.arange(judged.widths.shape[1])
    missed, misled = judged.missed[stop, runs], judged.misled[stop, runs]
    widths = judged.widths[stop, runs]
    chosen: dict[int | None, BoolArray] = {int(look): stop == look for look in np.unique(stop)}
    chosen[None] = np.ones(len(runs), dtype=bool)
    return [
        Ended(
            look,
            float(own.mean()),
            1 - missed[own].mean(axis=0),
            float(1 - misled[own].mean()),
            float(np.median(widths[own])),
        )
        for look, own in chosen.items()
    ]


def row(name: str, precision: float, units: Sequence[int], part: Ended) -> str:
    """Of a Markdown table."""
    where = "all" if part.look is None else str(units[part.look])
    return (
        f"| {name} | {precision:.0%} | {where} | {part.share:.1%} | {part.covered.min():.1%} | "
        f"{part.covered.mean():.1%} | {part.led:.1%} | {part.width:.1%} |"
    )


def scenario(
    block: RecordedBlock, pool: RoundPool, precisions: Sequence[float], num_runs: int
) -> tuple[list[str], list[Ended]]:
    """One block, one request at a time and in rounds of the pool: Markdown rows, and their content.

    The content is of looks at which 5 % of the runs end, and of all runs.
    """

    def draw_prompts(size: int, random: np.random.Generator) -> Drawn:
        return prompt_runs(block, size, sum(PROMPTS), random)

    def draw_rounds(size: int, random: np.random.Generator) -> Drawn:
        return round_runs(block, pool, size, len(ROUNDS), random)

    truths = prompt_truth(block), pool.truth(block)
    lines, found = [], []
    for name, draw, truth, rounds in (
        ("prompts", draw_prompts, truths[0], PROMPTS),
        ("rounds", draw_rounds, truths[1], ROUNDS),
    ):
        for precision in precisions:
            looks = plan_looks(rounds, rounds is PROMPTS, precision)
            units = [sum(rounds[:number]) for number in looks.rounds]
            parts = ended(simulate(draw, truth, looks, units, num_runs), precision)
            lines += [row(name, precision, units, part) for part in parts]
            found += [part for part in parts if part.share >= LEAST_SHARE]
    return lines, found


def section(recorded: RecordedBlock, num_runs: int, num_rounds: int) -> str:
    """The text that is kept. recorded: all arms; num_rounds: different ones to draw from."""
    lines: list[str] = []
    parts: list[Ended] = []
    for num_arms, arms in BLOCKS.items():
        block = recorded.only(arms)
        pool = pool_rounds(block, num_rounds, np.random.default_rng(_SEED))
        for factor, precisions in DRIFTS.items():
            found, content = scenario(block.at_drift(factor), pool, precisions, num_runs)
            lines += ["", f"{num_arms} arms, drift {_NAMES[factor]}:", "", *_COLUMNS, *found]
            parts += content
    lowest = (
        f"Lowest of all, looks of 5 % of the runs among them: S of an arm "
        f"{min(part.covered.min() for part in parts):.1%}, leads "
        f"{min(part.led for part in parts):.1%}."
    )
    return "\n".join([*_head(num_runs, num_rounds, recorded.drift), "", lowest, *lines])


def _head(num_runs: int, num_rounds: int, drift: FloatArray) -> list[str]:
    fine, coarse = (plan_looks(PROMPTS, True, precision).share for precision in (0.05, 0.1))
    by_round = plan_looks(ROUNDS, False, 0.05).share
    return [
        HEADING,
        "",
        f"`make bench-precision` (commit {revision()}): {num_runs} runs of each block, drawn from "
        "records. What 192 prompts gave to each arm, cycle by cycle, is that of results/baseline "
        "and results/reference/domains; a run draws prompts anew, as many of each domain. What "
        f"cycles cost, and the drift of {len(drift)} turns in the order of time, are those of "
        "turns.csv, recorded while other jobs took both cores and arms answered whole prompts in "
        "turn (arms that hand over within an answer share more of it): the standard deviation is "
        f"{drift.std():.0%} of a turn's time, that of neighbouring turns' difference "
        f"{np.diff(drift).std():.0%}. A tenth of that is a little more than quiet cores show: the "
        "baseline's speed differs by 1.4 to 4.2 % from prompt to prompt in "
        "results/reference/domains. Rounds of "
        f"24 prompts, {AT_ONCE} at once, are put together from the prompts' records ({num_rounds} "
        "different ones): no such rounds are on record.",
        "",
        "A run ends at the first look at which the interval of every arm's S is within the "
        "precision: at 72 or 96 prompts (48 too where it is above 5 %), at 6, 8, 10 or 12 rounds. "
        f"Intervals cover {fine:.2%} ({coarse:.2%}) and {by_round:.2%} each, so that all looks "
        "together cover 95 %. Counted is whether the interval shown in the end holds the S of the "
        "whole record, by arm, and whether all leads of the arm that came out first hold theirs. "
        "The bar is 94 %, also at every look at which 5 % of the runs end. Three arms: "
        f"{', '.join(BLOCKS[3])}; six: {', '.join(BLOCKS[6])}, whose copy is a second run of an "
        "equal arm.",
    ]


def main(
    runs: Annotated[int, typer.Option(help="Runs of each block.")] = 10_000,
    turns: Annotated[Path, typer.Option(help="What `record_turns` wrote.")] = TURNS,
    out: Annotated[Path, typer.Option(help="The file that holds the section.")] = ROBUSTNESS,
) -> None:
    """Draw, judge, and write the section."""
    text = section(read_block(BLOCKS[6], turns), runs, POOL)
    replace_section(out, text)
    Console(width=140).print(text, markup=False, highlight=False)


if __name__ == "__main__":
    run_bench(main, "bench-precision")
