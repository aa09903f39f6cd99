"""How much narrower pairs make the lead of one arm over another: `make bench-pairs`.

    python -m dspark_bench.evidence.bench_pairs [--folder results/mine]

Of every two arms of one block, two 95 % intervals of S over S, from the same records: paired unit
by unit within strata, as leads are judged; and unpaired without strata, Welch's of both arms' S,
as of points that were measured apart. Measures four unlike arms first unless a folder is given; a
repeated command goes on where it stopped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console

from dspark_bench.commands.sweep_list import run_sweep_list
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.sweep_lists import Exhibit, SweepList
from dspark_bench.core.errors import RegressionError, ResultsError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.robustness_file import ROBUSTNESS, replace_section, revision
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.machine.processors import usable_cores
from dspark_bench.metrics.comparison import arm_sums
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.leads import PAIR_SIGNS
from dspark_bench.metrics.log_ratio import log_ratio_interval, ratio_interval
from dspark_bench.reading.gather import gather
from dspark_bench.reading.points import Point
from dspark_bench.reading.speeds import Speeds, read_speeds
from dspark_bench.report.ratios import unpaired_ratio
from dspark_bench.report.settings import configuration_of, short_label, varying

HEADING: Final = "## Pairs and strata"
NARROWER: Final = 1 / 3
"""By how much at least the paired interval is to be narrower, on the scale of logarithms."""
_NAME: Final = "bench-pairs"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two arms of a block, and S of the first over S of the second."""

    first: str
    second: str
    paired: Interval
    unpaired: Interval

    @property
    def width(self) -> float | None:
        """Width of the paired interval over that of the other, of logarithms; None without one."""
        ours, theirs = log_width(self.paired), log_width(self.unpaired)
        return None if ours is None or not theirs else ours / theirs

    @property
    def is_narrow(self) -> bool:
        """Whether it is narrower by as much as it should be."""
        return self.width is not None and self.width <= 1 - NARROWER


def main(
    folder: Annotated[Path | None, typer.Option(help="A sweep's; else measure.")] = None,
    prompts: Annotated[int, typer.Option(help="At one request at a time.")] = 96,
    results: Annotated[Path, typer.Option(help="Where points are kept.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = ROBUSTNESS,
) -> None:
    """Compare, print, and write the section. Exits 1 if a pair is not narrow enough."""
    console, measured = Console(width=160), revision()
    if folder is None:
        folder = results / _NAME
        found = SweepList(_NAME, (Exhibit(_NAME, sweeps_of(prompts, results)),), False, False)
        run_sweep_list(found, SweepRequest(()), console)
    pairs = pairs_of(read_arms(folder))
    text = section(pairs, read_environment(), measured, folder.name)
    replace_section(out, text)
    console.print(text, markup=False, soft_wrap=True)
    if not all(pair.is_narrow for pair in pairs):
        raise typer.Exit(RegressionError.exit_code)


def sweeps_of(prompts: int, results: Path) -> tuple[tuple[str, ...], ...]:
    """Overrides of the sweeps whose four points make one block."""
    shared = (
        *("measure.precision=null", "measure.repeats=1", f"num_requests={prompts}"),
        *("measure.calibration_requests=0", "measure.agreement_requests=0"),
        f"results_dir={results}",
    )
    return (
        ("drafter=semi_ar", "gamma=2,4,8", *shared),
        ("drafter=parallel", "gamma=4", *shared),
    )


def read_arms(folder: Path) -> dict[str, Speeds]:
    """The usable points of a sweep's folder by name. Raises ResultsError unless they are two or
    more of one block.
    """
    found = gather(folder).points
    points = [point for point in found if point.obstacle is None]
    if len(points) < 2 or len({point.text("block_id") for point in points}) > 1:
        reasons = sorted({point.obstacle for point in found if point.obstacle is not None})
        why = f" ({'; '.join(reasons)})" if reasons else ""
        raise ResultsError(
            f"{folder} holds {len(points)} usable points{why}; valid: two or more of one block"
        )
    chosen = [configuration_of(point) for point in points]
    differing = varying(chosen)
    names = [short_label(values, differing) for values in chosen]
    return {name: _speeds(point) for name, point in zip(names, points, strict=True)}


def _speeds(point: Point) -> Speeds:
    concurrency = int(point.number("concurrency") or 2)
    return read_speeds(point.folder, point.metrics, point.text("load"), concurrency)


def pairs_of(arms: Mapping[str, Speeds]) -> list[Pair]:
    """Every two arms of one block. Raises ResultsError if their units differ."""
    strata = next(iter(arms.values())).strata
    sums = arm_sums({name: speeds.table for name, speeds in arms.items()})
    found = []
    for first, second in combinations(range(len(arms)), 2):
        both = np.concatenate([sums.table[first], sums.table[second]], axis=1)
        alone = [log_ratio_interval(sums.table[place]) for place in (first, second)]
        paired = ratio_interval(both, PAIR_SIGNS, strata=strata)
        names = sums.labels[first], sums.labels[second]
        found.append(Pair(*names, paired, unpaired_ratio(alone[0], alone[1])))
    return found


def log_width(interval: Interval) -> float | None:
    """Of the logarithm; None without ends."""
    if not interval.low or not interval.high:
        return None
    return math.log(interval.high / interval.low)


def section(pairs: Sequence[Pair], environment: Environment, measured: str, name: str) -> str:
    """The text that is kept. measured: the commit; name: of the sweep."""
    cores = f"{usable_cores()} of {environment.num_cores} cores"
    about = (
        f"`make bench-pairs` (commit {measured}; {environment.cpu_model}, {cores}; sweep {name}): "
        f"S over S of every two arms of one block, {pairs[0].paired.n} units, 95 % intervals from "
        "the same records: paired within strata, and unpaired without (Welch's, of both arms' S). "
        f"Narrower: of the logarithms; the bar is {NARROWER:.0%}."
    )
    lines = [
        "| arm | over | paired | unpaired | narrower | bar |",
        "|---|---|---|---|---|---|",
    ]
    for pair in pairs:
        narrower = "-" if pair.width is None else f"{1 - pair.width:.0%}"
        cells = (pair.first, pair.second, pair.paired.text(3), pair.unpaired.text(3), narrower)
        lines.append(f"| {' | '.join(cells)} | {'kept' if pair.is_narrow else 'missed'} |")
    return "\n".join([HEADING, "", about, "", *lines, ""])


if __name__ == "__main__":
    run_bench(main, "bench-pairs")
