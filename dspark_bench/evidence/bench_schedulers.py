"""Schedulers against every fixed draft length and no speculation, in one block per load.

    python -m dspark_bench.evidence.bench_schedulers [--concurrency 1,16,64] [--rounds 24]

All arms of a load take turns with one baseline, as in any sweep; this only plans the points and
shows their throughput. That is of the steady part (full batches, prefills included). Ratios are of
sums over the units of the block, paired: prompts with one user, else rounds. At the end, the
frontier: each scheduler's throughput at the per-user speed of every fixed length, over that
length's own. A repeated command goes on where it stopped; `--fresh` measures again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from dspark_bench.commands.sweep_list import plan_sweep_list, run_sweep_list
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.sizes import round_size
from dspark_bench.config.sweep_lists import Exhibit, SweepList
from dspark_bench.core.errors import PointsFailedError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.metrics.frontier import throughput_at
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import MIN_UNITS, log_ratio_interval
from dspark_bench.metrics.strata import IntArray
from dspark_bench.metrics.units import FloatArray
from dspark_bench.reading.gather import gather
from dspark_bench.reading.points import Point
from dspark_bench.reading.speeds import read_speeds

BASELINE: Final = "none"
FIXED: Final = "fixed"
FIXED_GAMMAS: Final = (1, 2, 4, 7)
GAMMA: Final = 7
SCHEDULERS: Final = ("hardware_aware",)
NEW_TOKENS: Final = 96
LEAST_ROUNDS: Final = MIN_UNITS
_PLAIN: Final = (
    *("measure.precision=null", "measure.calibration_requests=16", "measure.law_tokens=0"),
    *("measure.agreement_requests=0", "seed=7", f"max_new_tokens={NEW_TOKENS}"),
)


@dataclass(frozen=True, slots=True)
class Arm:
    """speeds [U, 2]: tokens and seconds of the steady part by unit, in the same order for all arms
    of a load; strata [U]: of the units; user_tok_s: mean over requests; verify_budget: tokens
    verified per request and cycle; choosing: share of a cycle that the scheduler takes, None for
    the baseline.
    """

    speeds: FloatArray
    strata: IntArray | None
    user_tok_s: float
    verify_budget: float
    choosing: float | None

    @property
    def throughput(self) -> float:
        """Tokens per second."""
        tokens, time_s = self.speeds.sum(axis=0)
        return float(tokens / time_s)


def main(
    concurrency: Annotated[str, typer.Option(help="Comma list.")] = "1,2,4,8,16,32,64",
    rounds: Annotated[int, typer.Option(help="Rounds at one request.")] = 24,
    schedulers: Annotated[str, typer.Option(help="Comma list.")] = ",".join(SCHEDULERS),
    cost: Annotated[str, typer.Option(help="profiled or online.")] = "profiled",
    drafter: Annotated[str, typer.Option(help="Of the zoo.")] = "semi_ar",
    fresh: Annotated[bool, typer.Option(help="Measure again what is there.")] = False,
    results: Annotated[Path, typer.Option(help="Where points are kept.")] = Path("results"),
    override: Annotated[list[str] | None, typer.Option(help="key=value of every point.")] = None,
) -> None:
    """Measure and print one table per concurrency."""
    console, names = Console(), tuple(schedulers.split(","))
    shared = (f"drafter={drafter}", f"results_dir={results}", *_PLAIN)
    sizes = [int(size) for size in concurrency.split(",")]
    sweeps = [
        (*shared, *own, *(override or ()))
        for size in sizes
        for own in sweeps_of(size, num_rounds(size, rounds), names, cost)
    ]
    found = SweepList("bench-schedulers", (Exhibit("schedulers", tuple(sweeps)),), False, False)
    request = SweepRequest((), is_fresh=fresh)
    (part,) = plan_sweep_list(found, request, Console(quiet=True))
    failed: PointsFailedError | None = None
    try:
        run_sweep_list(found, request, console)
    except PointsFailedError as error:
        failed = error
    wanted = set(part.point_ids)
    points = [point for point in gather(part.folder).points if point.point_id in wanted]
    for obstacle in dict.fromkeys(point.obstacle for point in points if point.obstacle):
        console.print(f"left out: {obstacle}", soft_wrap=True)
    arms = {size: arms_of(points, size) for size in sizes}
    arms = {size: own for size, own in arms.items() if own}
    for size, own in arms.items():
        console.print(table(size, own))
    is_whole = all(len(own) == 1 + len(FIXED_GAMMAS) + len(names) for own in arms.values())
    if len(arms) > 1 and is_whole:
        for name in names:
            console.print(frontier_table(name, arms))
    if failed is not None:
        raise failed


def num_rounds(size: int, at_one: int) -> int:
    """Rounds with `size` requests at once: each holds more tokens, so there are fewer.

    They fall with the square root of the size.
    """
    return max(LEAST_ROUNDS, round(at_one / math.sqrt(size)))


def sweeps_of(
    size: int, rounds: int, schedulers: Sequence[str], cost: str
) -> tuple[tuple[str, ...], ...]:
    """Overrides of the sweeps of one load. One user: new prompts in every round, since those are
    the units; else the same ones again, and rounds are.
    """
    per_round = round_size(size)
    served = (f"num_requests={per_round}", f"measure.repeats={rounds}")
    if size == 1:
        served = (f"num_requests={per_round * rounds}", "measure.repeats=1")
    load = (f"load.concurrency={size}", f"cost={cost}", *served)
    gammas = ",".join(map(str, FIXED_GAMMAS))
    return (
        (*load, f"scheduler={FIXED}", f"gamma={gammas}"),
        (*load, f"scheduler={','.join(schedulers)}", f"gamma={GAMMA}"),
    )


def arms_of(points: Sequence[Point], size: int) -> dict[str, Arm]:
    """The baseline, then every measured point of one load, by name.

    Raises ResultsError for records that cannot be used, KeyError where they hold no times.
    """
    mine = [p for p in points if p.obstacle is None and p.number("concurrency") == size]
    arms: dict[str, Arm] = {}
    for point in mine:
        speeds = read_speeds(point.folder, point.metrics, "closed", size)
        table = speeds.table.sort_index()
        if BASELINE not in arms:
            both = table[["baseline_tokens", "baseline_time_s"]].to_numpy(np.float64)
            user_tok_s = point.number("baseline_tok_s_per_user") or math.nan
            arms[BASELINE] = Arm(both, speeds.strata, user_tok_s, 1.0, None)
        own = table[["tokens", "time_s"]].to_numpy(np.float64)
        stages = ("t_draft_s", "t_schedule_s", "t_verify_s", "t_accept_s", "t_engine_s")
        cycle_s = sum(point.number(name) or 0.0 for name in stages)
        arms[_name(point)] = Arm(
            own,
            speeds.strata,
            point.number("tok_s_per_user") or math.nan,
            point.number("verify_budget") or math.nan,
            (point.number("t_schedule_s") or 0.0) / cycle_s if cycle_s else None,
        )
    return dict(sorted(arms.items(), key=lambda item: _place(item[0])))


def _name(point: Point) -> str:
    scheduler = point.text("scheduler")
    return f"{FIXED} {point.text('gamma')}" if scheduler == FIXED else scheduler


def _place(name: str) -> tuple[bool, bool, str]:
    """The baseline, fixed lengths, schedulers."""
    return name != BASELINE, not name.startswith(FIXED), name


def frontier_table(name: str, found: Mapping[int, Mapping[str, Arm]]) -> Table:
    """The scheduler's throughput over each arm's, at that arm's per-user speed."""
    shown = Table(
        title=f"{name}: throughput over each arm's at the arm's own tok/s/user",
        box=None,
        pad_edge=False,
        title_justify="left",
    )
    shown.add_column("arm")
    for size in found:
        shown.add_column(str(size), justify="right")
    speeds = [arms[name].user_tok_s for arms in found.values()]
    throughputs = [arms[name].throughput for arms in found.values()]
    for arm in next(iter(found.values())):
        if arm != name:
            ratios = []
            for arms in found.values():
                ours = throughput_at(speeds, throughputs, arms[arm].user_tok_s)
                ratios.append("-" if ours is None else f"{ours / arms[arm].throughput:.3f}")
            shown.add_row(arm, *ratios)
    return shown


def table(size: int, arms: Mapping[str, Arm]) -> Table:
    """One row per arm: throughput, budget, per-user speed, and the schedulers over each arm."""
    ours = [name for name in arms if name != BASELINE and not name.startswith(FIXED)]
    shown = Table(title=f"concurrency {size}", box=None, pad_edge=False, title_justify="left")
    for name in ("arm", "tok/s", "tok/s/user", "verify budget", "choosing"):
        shown.add_column(name, justify="left" if name == "arm" else "right")
    for name in ours:
        shown.add_column(f"{name} over it", justify="right")
    for name, arm in arms.items():
        cells = [
            name,
            f"{arm.throughput:.0f}",
            f"{arm.user_tok_s:.0f}",
            f"{arm.verify_budget:.2f}",
            "-" if arm.choosing is None else f"{arm.choosing:.1%}",
        ]
        cells += ["" if one == name else ratio(arms[one], arm).text(3) for one in ours]
        shown.add_row(*cells)
    return shown


def ratio(ours: Arm, theirs: Arm) -> Interval:
    """Throughput over throughput of two arms of one load, with its 95 % interval."""
    pairs = np.concatenate([ours.speeds, theirs.speeds], axis=1)
    return log_ratio_interval(pairs, strata=ours.strata)


if __name__ == "__main__":
    run_bench(main, "bench-schedulers")
