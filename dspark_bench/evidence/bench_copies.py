"""How often a block calls one of six equal arms beaten: `make bench-copies`.

    python -m dspark_bench.evidence.bench_copies [--blocks 20] [--prompts 12]

Every block measures one configuration as several arms (`measure.copies`): with the same random
numbers, so that only their seconds differ, and with numbers of their own (`measure.copy_noise=own`,
temperature 1), so that their tokens differ too. Blocks differ in their seed, and so in prompts and
noise. They are judged as `recommend` and the figure `arms` judge any block. Other work on the
machine makes no arm faster than another, so this may run beside it. A repeated command goes on
where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.core.errors import RegressionError, ResultsError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.robustness_file import ROBUSTNESS, replace_section, revision
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.machine.processors import usable_cores
from dspark_bench.metrics.leads import Leads
from dspark_bench.reading.gather import gather
from dspark_bench.reading.speeds import leads_among, read_speeds

HEADING: Final = "## Equal arms of real blocks"
NOISES: Final = ("shared", "own")
MOST_BEATEN: Final = 3 / 20
"""Share of blocks that may call an arm beaten: of 20 at 5 % each, more than 3 are met in 1.6 % of
cases.
"""
_PLAIN: Final = (
    *("drafter=semi_ar", "gamma=4", "temperature=1", "measure.precision=null", "measure.repeats=1"),
    *("measure.calibration_requests=0", "measure.agreement_requests=0", "measure.law_tokens=0"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """Of each block: arms, prompts at one request at a time, new tokens of each."""

    copies: int = 6
    prompts: int = 12
    tokens: int = 24


def main(
    blocks: Annotated[int, typer.Option(help="Blocks of either noise.")] = 20,
    copies: Annotated[int, typer.Option(help="Equal arms of each.")] = 6,
    prompts: Annotated[int, typer.Option(help="Prompts of each; 6 or more.")] = 12,
    tokens: Annotated[int, typer.Option(help="New tokens per prompt.")] = 24,
    results: Annotated[Path, typer.Option(help="Where blocks are kept.")] = Path(
        "results/bench-copies"
    ),
    override: Annotated[list[str] | None, typer.Option(help="key=value of every block.")] = None,
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = ROBUSTNESS,
) -> None:
    """Measure, judge, print, and write the section. Exits 1 if too many blocks are wrong."""
    console, measured, size = Console(width=160), revision(), Size(copies, prompts, tokens)
    found: dict[str, list[Leads]] = {noise: [] for noise in NOISES}
    for number in range(blocks):
        for noise in NOISES:
            found[noise].append(judge(results, size, noise, number, override or ()))
        console.print(f"block {number + 1} of {blocks}: {counted(found)}", highlight=False)
    text = section(found, size, read_environment(), measured)
    replace_section(out, text)
    console.print(text, markup=False, soft_wrap=True)
    if any(not is_within(leads) for leads in found.values()):
        raise typer.Exit(RegressionError.exit_code)


def judge(results: Path, size: Size, noise: str, seed: int, overrides: Sequence[str] = ()) -> Leads:
    """Measure one block, unless it is there, and look for an arm that is beaten.

    Raises ResultsError where it cannot be judged, such as for results of other code.
    """
    own = (f"measure.copies={size.copies}", f"measure.copy_noise={noise}", f"seed={seed}")
    served = (f"num_requests={size.prompts}", f"max_new_tokens={size.tokens}")
    name = f"{noise}-{seed}"
    place = (f"results_dir={results}", f"name={name}")
    given = {override.partition("=")[0] for override in overrides}
    plain = [o for o in (*_PLAIN, *served) if o.partition("=")[0] not in given]
    run_sweep(SweepRequest((*plain, *overrides, *own, *place)), Console(quiet=True))
    points = gather(results / name).points
    unusable = [point.obstacle for point in points if point.obstacle is not None]
    if unusable or len({point.text("block_id") for point in points}) != 1:
        why = unusable[0] if unusable else "several blocks"
        raise ResultsError(f"{results / name}: {why}; valid: delete the folder and measure again")
    return leads_among(
        {
            str(point.keys["measure.copy"]): read_speeds(point.folder, point.metrics, "closed", 1)
            for point in points
        }
    )


def counted(found: dict[str, list[Leads]]) -> str:
    """Such as `shared noise 1 of 12, own noise 0 of 12 call an arm beaten`."""
    parts = [f"{noise} noise {num_beaten(leads)} of {len(leads)}" for noise, leads in found.items()]
    return f"{', '.join(parts)} call an arm beaten"


def num_beaten(found: Sequence[Leads]) -> int:
    """Blocks in which any arm is clearly behind the winner."""
    return sum(bool(leads.beaten) for leads in found)


def is_within(found: Sequence[Leads]) -> bool:
    """Whether no more blocks than may be call an arm beaten."""
    return num_beaten(found) <= MOST_BEATEN * len(found)


def section(
    found: dict[str, list[Leads]], size: Size, environment: Environment, measured: str
) -> str:
    """The text that is kept. measured: the commit."""
    cores = f"{usable_cores()} of {environment.num_cores} cores"
    about = (
        f"`make bench-copies` (commit {measured}; {environment.cpu_model}, {cores}): `semi_ar` at "
        f"gamma 4, temperature 1, measured as {size.copies} arms of one block, {size.prompts} "
        f"prompts of {size.tokens} tokens at one request at a time; every block with a seed of its "
        "own. Shared noise: all arms draw the same random numbers and emit the same tokens. Own: "
        "each draws its own. A block is wrong if any arm is called beaten, which may happen in 5 % "
        f"of them; the bar is {MOST_BEATEN:.0%}."
    )
    lines = [
        "| noise | blocks | no verdict | an arm called beaten | largest lead, median | bar |",
        "|---|---|---|---|---|---|",
    ]
    for noise, leads in found.items():
        num_unjudged = sum(one.reason is not None for one in leads)
        most = sorted(max((x.ratio.value or 1.0) for x in one.leads) - 1 for one in leads)
        cells = (
            *(noise, len(leads), num_unjudged, num_beaten(leads)),
            *(f"{most[len(most) // 2]:.1%}", "kept" if is_within(leads) else "missed"),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([HEADING, "", about, "", *lines, ""])


if __name__ == "__main__":
    run_bench(main, "bench-copies")
