"""`--dry-run`: the points of a command line, which of them are there, and how long the rest takes.

Everything is checked as before a real run; nothing is measured and nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dspark_bench.commands.estimate import Estimate, estimate, measured_points
from dspark_bench.commands.sweep_plan import PlannedSweep, SweepRequest, plan_request
from dspark_bench.config.expand import distinct_settings
from dspark_bench.core.wording import number_of
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.measure.block_plan import PlannedPoint, plan_blocks
from dspark_bench.measure.identity import HashCache
from dspark_bench.reading.files import part_of
from dspark_bench.store.point_store import PointStore

FINISHED, STALE, TO_MEASURE, ELSEWHERE = "finished", "finished (stale)", "to measure", "to copy"
SPOILT = "timing_invalid"


@dataclass(frozen=True, slots=True)
class DryPoint:
    """A point as a dry run shows it. setting: the overrides that tell it from its neighbours."""

    planned: PlannedPoint
    setting: str
    state: str


def dry_run_sweep(request: SweepRequest, console: Console) -> None:
    """Print the points of one command line. Raises UsageError for the first mistake."""
    sweep = plan_request(request, HashCache(), console)
    dry_run([sweep], request.is_fresh, sweep.folder.parent, console)


def dry_run(
    sweeps: Sequence[PlannedSweep], is_fresh: bool, results_dir: Path, console: Console
) -> None:
    """Print the points of checked sweeps, folder by folder, and what they will take.

    results_dir: where earlier points of this machine may lie.
    """
    environment = read_environment()
    folders = list(dict.fromkeys(sweep.folder for sweep in sweeps))
    points: list[DryPoint] = []
    for folder in folders:
        mine = [sweep for sweep in sweeps if sweep.folder == folder]
        found = dry_points(mine, is_fresh, folders, environment)
        console.print(str(folder), soft_wrap=True, markup=False, highlight=False)
        console.print(_table(found))
        points += found
    wanted = {p.planned.identity.point_id: p.planned for p in points if p.state == TO_MEASURE}
    known = measured_points(folders, results_dir, environment)
    blocks = plan_blocks(list(wanted.values()))
    guess = estimate([[point.config for point in block.points] for block in blocks], known)
    for line in summary_lines(points, len(wanted), guess, results_dir):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def dry_points(
    sweeps: Sequence[PlannedSweep],
    is_fresh: bool,
    folders: Sequence[Path],
    environment: Environment,
) -> list[DryPoint]:
    """The distinct points of one folder. folders: all of this command, which share points."""
    store = PointStore(sweeps[0].folder)
    others = [] if is_fresh else [PointStore(f) for f in folders if f != sweeps[0].folder]
    planned = [point for sweep in sweeps for point in sweep.points]
    settings = distinct_settings([o for sweep in sweeps for _, o in sweep.plan.points])
    found: dict[str, DryPoint] = {}
    for point, setting in zip(planned, settings, strict=True):
        point_id = point.identity.point_id
        found_as = TO_MEASURE if is_fresh else state(store, point_id, environment)
        if found_as == TO_MEASURE and any(
            state(other, point_id, environment) == FINISHED for other in others
        ):
            found_as = ELSEWHERE
        found.setdefault(point_id, DryPoint(point, setting or _named(point), found_as))
    return list(found.values())


def summary_lines(
    points: Sequence[DryPoint], num_wanted: int, guess: Estimate | None, results_dir: Path
) -> list[str]:
    """How many points there are, how many are there already, and the time for the others."""
    states = [point.state for point in points]
    num_there = sum(state in (FINISHED, STALE) for state in states)
    line = f"{number_of(len(points), 'point')}: {num_there} finished, {num_wanted} to measure"
    if SPOILT in states:
        line += f", {states.count(SPOILT)} timing_invalid"
    if ELSEWHERE in states:
        line += f", {states.count(ELSEWHERE)} to copy from a folder beside"
    if TO_MEASURE in states and states.count(TO_MEASURE) != num_wanted:
        num_shared = states.count(TO_MEASURE) - num_wanted
        line += f" ({num_shared} stand in a second folder too: measured once, then copied)"
    lines = [line]
    if STALE in states:
        lines.append("stale: measured with other code or on another machine; --fresh repeats it")
    if SPOILT in states:
        lines.append(
            "timing_invalid: another timed run shared the machine; neither ranked nor drawn; "
            "--fresh repeats it"
        )
    if num_wanted == 0:
        return [*lines, "nothing to measure"]
    waits_s = 0.0 if guess is None else guess.arrivals_s
    waits = f"arrivals alone take {duration(waits_s)}" if waits_s else ""
    if guess is None or guess.num_known == 0:
        none = f"no estimate: no point below {results_dir} was measured on this machine"
        return [*lines, f"{none}; {waits}" if waits else none]
    basis = f"from {number_of(guess.num_known, 'point')} measured on this machine, {guess.rule}"
    return [*lines, f"about {duration(guess.total_s)} ({basis}{f'; {waits}' if waits else ''})"]


def duration(seconds: float) -> str:
    """Such as `45 s`, `12 min` or `3 h 20 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def state(store: PointStore, point_id: str, environment: Environment) -> str:
    """What a dry run calls a point of a folder, seen from this code and machine."""
    stored = store.load(point_id)
    if stored is None or not stored.is_finished:
        return TO_MEASURE
    here = (environment.code_hash, environment.machine_id)
    there = (stored.environment.get("code_hash"), stored.environment.get("machine_id"))
    if here != there:
        return STALE
    is_spoilt = part_of(stored.content, "facts").get("timing_invalid") is True
    return SPOILT if is_spoilt else FINISHED


def _named(point: PlannedPoint) -> str:
    """What a point is called that has no neighbour to be told from."""
    config = point.config
    gamma = f" gamma={config.gamma}" if config.has_drafter else ""
    return f"drafter={config.drafter.name}{gamma} workload={config.workload.name}"


def _table(points: Sequence[DryPoint]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("point", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("setting", overflow="fold")
    for point in points:
        table.add_row(point.planned.identity.point_id, point.state, point.setting)
    return table
