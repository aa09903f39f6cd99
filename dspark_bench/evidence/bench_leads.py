"""How often equal arms are called different, and how often different ones are: `make bench-leads`.

    python -m dspark_bench.evidence.bench_leads [--pairs 20000] [--sets 2000]

Drawn from recorded prompts (`recorded_arms`). The textbook's interval, Student's t of the
linearised error with U - 1 degrees of freedom, stands beside ours.
"""

from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console

from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.recorded_arms import RecordedPrompts, read_recorded
from dspark_bench.evidence.robustness_file import ROBUSTNESS, replace_section, revision
from dspark_bench.metrics.leads import PAIR_SIGNS, ArmSums, Leads, find_leads
from dspark_bench.metrics.log_ratio import SHARE, SPEED_SIGNS, log_ratio
from dspark_bench.metrics.student import two_sided_many
from dspark_bench.metrics.sums import FloatArray

POINTS: Final = Path("results/baseline/zoo/points")
BOUNDS: Final = (6, 12, 24, 48, 101)
"""Numbers of units are reported in the ranges between these."""
ARMS: Final = (2, 3, 6, 12)
UNITS: Final = (6, 8, 12, 24, 48, 100)
LEADS: Final = (0.05, 0.10)
POWER_UNITS: Final = (24, 96)
NOISE: Final = 0.02
_HEADING: Final = "## Leads and intervals of S"


def pair_errors(tables: FloatArray, truth: float) -> tuple[float, float]:
    """Share of intervals that miss the true log ratio: ours, the textbook's. tables [N, U, 4]."""
    found = log_ratio(tables)
    apart = np.abs(found.value - truth)
    ours = found.widening * two_sided_many(SHARE, found.degrees) * found.error
    num_units = found.num_units
    influence = (tables / tables.sum(axis=1, keepdims=True)) @ np.array(SPEED_SIGNS)
    linear = np.sqrt(num_units / (num_units - 1) * (influence**2).sum(axis=1))
    textbook = two_sided_many(SHARE, np.array(num_units - 1.0)) * linear
    return float(np.mean(apart > ours)), float(np.mean(apart > textbook))


def beaten(tables: FloatArray, num_draws: int = 999) -> list[tuple[str, ...]]:
    """Who is clearly behind the winner, by set [N, K, U, 4]; arms are called 0 to K - 1."""
    names = tuple(map(str, range(tables.shape[1])))
    maybe = _may_be_clear(tables)
    return [
        _leads(names, table, seed, num_draws).beaten if is_worth_it else ()
        for seed, (table, is_worth_it) in enumerate(zip(tables, maybe, strict=True))
    ]


def _leads(names: tuple[str, ...], table: FloatArray, seed: int, num_draws: int) -> Leads:
    return find_leads(ArmSums(names, table), seed=seed, num_draws=num_draws)


def _may_be_clear(tables: FloatArray) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """[N] whether an interval excludes 1, to within 1 %: the randomisation, which is dear, then
    decides. What this leaves out, `find_leads` calls clear in no case.
    """
    num_sets, num_arms = tables.shape[:2]
    speeds = np.log(tables.sum(axis=2)) @ np.array(SPEED_SIGNS)
    winner = tables[np.arange(num_sets), speeds.argmax(axis=1)]
    share = 1 - 0.05 / (num_arms * (num_arms - 1) // 2)
    maybe = np.zeros(num_sets, dtype=bool)
    for arm in range(num_arms):
        found = log_ratio(np.concatenate([winner, tables[:, arm]], axis=-1), PAIR_SIGNS)
        reach = found.widening * two_sided_many(share, found.degrees) * found.error
        maybe |= found.value > 0.99 * reach
    return np.asarray(maybe)


def pair_table(recorded: Sequence[RecordedPrompts], num_pairs: int) -> list[str]:
    """Markdown: errors of single intervals, the worst number of units of each range."""
    lines = [
        "| units | equal arms called different: worst n | mean | textbook's worst n | S missed: "
        "worst n | textbook's |",
        "|---|---|---|---|---|---|",
    ]
    for first, end in pairwise(BOUNDS):
        rows = []
        for (number, prompts), units in product(enumerate(recorded), range(first, end)):
            random = np.random.default_rng((number, units))
            equal = pair_errors(prompts.pairs(num_pairs, units, random), 0.0)
            missed = pair_errors(prompts.speedups(num_pairs, units, random), prompts.log_speedup)
            rows.append((*equal, *missed))
        worst, mean = np.max(rows, axis=0), np.mean(rows, axis=0)
        cells = (worst[0], mean[0], worst[1], worst[2], worst[3])
        lines.append(f"| {first} to {end - 1} | {' | '.join(f'{cell:.1%}' for cell in cells)} |")
    return lines


def equal_table(recorded: Sequence[RecordedPrompts], num_sets: int) -> list[str]:
    """Markdown: how often any of K equal arms is called beaten."""
    lines = [
        f"| equal arms | {' | '.join(f'{units} prompts' for units in UNITS)} |",
        f"|---|{'---|' * len(UNITS)}",
    ]
    for arms in ARMS:
        shares = []
        for units in UNITS:
            random = np.random.default_rng((arms, units))
            size = (num_sets // len(recorded), arms, units)
            called = [
                bool(found)
                for prompts in recorded
                for found in beaten(prompts.arms(size, 0.0, NOISE, random))
            ]
            shares.append(np.mean(called))
        lines.append(f"| {arms} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    return lines


def power_table(recorded: Sequence[RecordedPrompts], num_sets: int) -> list[str]:
    """Markdown: share of the slower arms that are called beaten by the one that truly leads."""
    heads = [f"{lead:.0%}, {units} prompts" for lead in LEADS for units in POWER_UNITS]
    lines = [f"| arms | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for arms in ARMS:
        shares = []
        for lead, units in product(LEADS, POWER_UNITS):
            random = np.random.default_rng((arms, units, round(100 * lead)))
            size = (num_sets // len(recorded), arms, units)
            found = [
                0 if "0" in names else len(names) / (arms - 1)
                for prompts in recorded
                for names in beaten(prompts.arms(size, lead, NOISE, random), num_draws=199)
            ]
            shares.append(np.mean(found))
        lines.append(f"| {arms} | {' | '.join(f'{share:.0%}' for share in shares)} |")
    return lines


def section(recorded: Sequence[RecordedPrompts], pairs: int, sets: int, power_sets: int) -> str:
    """The section of robustness.md."""
    num_prompts = len(recorded[0].tokens)
    return "\n".join(
        [
            _HEADING,
            "",
            f"`make bench-leads` (commit {revision()}): drawn from the {num_prompts} recorded "
            f"prompts of results/baseline at gamma 4 and 8. {pairs} pairs at every number of units "
            "from 6 to 100: two runs of one arm in random order, judged by the 95 % interval of "
            "their ratio (no verdict is given below 6 units); and the interval of S against S of "
            "all prompts. The textbook's is Student's t of the linearised error.",
            "",
            *pair_table(recorded, pairs),
            "",
            f"Any of several equal arms called beaten: {sets} sets each, cycles drawn anew from "
            f"those of the prompt, every time with {NOISE:.0%} noise and a baseline of its own.",
            "",
            *equal_table(recorded, sets),
            "",
            f"Power: one arm truly ahead by so much ({power_sets} sets each); share of the others "
            "that are called beaten by it.",
            "",
            *power_table(recorded, power_sets),
        ]
    )


def main(
    pairs: Annotated[int, typer.Option(help="Pairs at every number of units.")] = 20_000,
    sets: Annotated[int, typer.Option(help="Sets of equal arms at each size.")] = 2000,
    power_sets: Annotated[int, typer.Option(help="Sets with a true lead at each size.")] = 200,
    out: Annotated[Path, typer.Option(help="The file that holds the section.")] = ROBUSTNESS,
) -> None:
    """Draw, judge, and write the section."""
    recorded = [read_recorded(point) for point in sorted(POINTS.glob("[!.]*"))]
    text = section(recorded, pairs, sets, power_sets)
    replace_section(out, text)
    Console(width=140).print(text, markup=False, highlight=False)


if __name__ == "__main__":
    run_bench(main, "bench-leads")
