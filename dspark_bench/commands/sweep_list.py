"""Runs the sweeps of an experiment that is a list of them: everything is checked, then measured.

The sweeps of one exhibit are measured as one, so that points of several of them share a block.
Exhibits share points (the same configuration at the same size): one that a neighbour has measured
with this code on this machine is copied, not measured again.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from dspark_bench.commands.dry_run import dry_run
from dspark_bench.commands.sweep import run_planned
from dspark_bench.commands.sweep_plan import PlannedSweep, SweepRequest, plan_request
from dspark_bench.config.expand import expand
from dspark_bench.config.quoting import quoted, unquoted
from dspark_bench.config.sweep_lists import SweepList
from dspark_bench.config.validate import check_writable
from dspark_bench.core.errors import PointsFailedError, UsageError
from dspark_bench.core.wording import number_of
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.measure.identity import HashCache
from dspark_bench.report.paper import write_paper_table
from dspark_bench.store.folder_lock import folder_lock
from dspark_bench.store.point_store import POINTS, PointStore
from dspark_bench.store.round_store import forget_blocks
from dspark_bench.store.tables import SweepPlan

PAPER_TABLE = "paper.md"


@dataclass(frozen=True, slots=True)
class _Part:
    """One exhibit, checked: its sweeps as one."""

    exhibit: str
    sweep: PlannedSweep

    @property
    def folder(self) -> Path:
        return self.sweep.folder

    @property
    def point_ids(self) -> list[str]:
        return [point.identity.point_id for point in self.sweep.points]


def run_sweep_list(found: SweepList, request: SweepRequest, console: Console) -> None:
    """Measure every exhibit into a folder of its own below results_dir.

    Raises UsageError before anything runs, PointsFailedError at the end.
    """
    parts = plan_sweep_list(found, request, console)
    wanted = {(part.folder, point_id) for part in parts for point_id in part.point_ids}
    folders = [part.folder for part in parts]
    num_distinct = len({point_id for _, point_id in wanted})
    console.print(
        f"{found.name}: {number_of(len(wanted), 'point')} in "
        f"{number_of(len(folders), 'folder')}, {num_distinct} distinct"
    )
    with ExitStack() as locks:
        for folder in folders:
            check_writable(folder / POINTS)
            locks.enter_context(folder_lock(folder))
        _run_parts(found, parts, request, console)


def dry_run_sweep_list(found: SweepList, request: SweepRequest, console: Console) -> None:
    """Print every exhibit's points and the time they will take. Raises UsageError."""
    parts = plan_sweep_list(found, request, console)
    root = parts[0].folder.parents[1] if found.is_suite else parts[0].folder.parent
    dry_run([part.sweep for part in parts], request.is_fresh, root, console)


def _run_parts(
    found: SweepList, parts: Sequence[_Part], request: SweepRequest, console: Console
) -> None:
    """With every folder held. Raises PointsFailedError at the end."""
    folders = [part.folder for part in parts]
    environment = read_environment()
    if request.is_fresh:
        for part in parts:
            PointStore(part.folder).forget(part.point_ids)
            forget_blocks(part.folder, part.point_ids)
    failures = []
    for part in parts:
        console.rule(part.exhibit)
        num_copied = adopt(part.folder, part.point_ids, folders, environment)
        if num_copied:
            console.print(f"{number_of(num_copied, 'point')} measured for another exhibit")
        try:
            run_planned(part.sweep, console, environment)
        except PointsFailedError as error:
            failures.append(f"{part.exhibit}: {error}")
            console.print(f"error: {error}", soft_wrap=True)
    root = folders[0].parent if found.is_suite else folders[0]
    if found.is_beside_paper:
        text = write_paper_table(root, root / PAPER_TABLE)
        console.print(text, soft_wrap=True, markup=False)
    if failures:
        raise PointsFailedError("; ".join(failures))


def plan_sweep_list(found: SweepList, request: SweepRequest, console: Console) -> list[_Part]:
    """Check every sweep of the list; a part for each exhibit. Raises UsageError for the first
    mistake.
    """
    is_named = any(_key(override) == "name" for override in request.overrides)
    name = expand(request.overrides).name if is_named else found.name
    if "/" in name or name in ("", ".", ".."):
        raise UsageError(f"name is {name!r}; valid: a folder's name without / or \\")
    hashes = HashCache()
    num_sweeps = sum(len(exhibit.sweeps) for exhibit in found.exhibits)
    console.print(f"checking {num_sweeps} sweeps of {found.name}", highlight=False)
    quiet = Console(quiet=True)
    parts = []
    for exhibit in found.exhibits:
        sweeps = []
        for overrides in exhibit.sweeps:
            placed = _placed(overrides, name, exhibit.name if found.is_suite else None)
            # what is fresh was forgotten for the whole list before its first sweep
            one = replace(request, overrides=placed, is_fresh=False)
            sweeps.append(plan_request(one, hashes, quiet))
        parts.append(_Part(exhibit.name, _as_one(sweeps)))
    return parts


def _as_one(sweeps: Sequence[PlannedSweep]) -> PlannedSweep:
    """Sweeps into one folder as one with all of their points."""
    plans = [sweep.plan for sweep in sweeps]
    swept = dict.fromkeys(key for one in plans for key in one.swept_keys)
    points = tuple(point for one in plans for point in one.points)
    commands = tuple(command for one in plans for command in one.commands)
    keys = _telling_apart(list(swept), [overrides for _, overrides in points])
    plan = SweepPlan(plans[0].name, commands, keys, points)
    return replace(
        sweeps[0], plan=plan, points=tuple(point for one in sweeps for point in one.points)
    )


def _telling_apart(swept: Sequence[str], points: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The swept keys, and those by which the sweeps differ that split points further."""
    values = [{_key(override): override for override in overrides} for overrides in points]
    kept = list(swept)

    def num_groups(keys: Sequence[str]) -> int:
        return len({tuple(own.get(key) for key in keys) for own in values})

    for key in dict.fromkeys(key for own in values for key in own):
        if key not in kept and num_groups([*kept, key]) > num_groups(kept):
            kept.append(key)
    return tuple(kept)


def adopt(
    folder: Path, point_ids: Sequence[str], others: Sequence[Path], environment: Environment
) -> int:
    """Copy finished points of this code and machine from other folders; returns how many."""
    store, num_copied = PointStore(folder), 0
    here = (environment.code_hash, environment.machine_id)
    for point_id in point_ids:
        for other in others:
            if store.is_finished(point_id) or other == folder:
                continue
            stored = PointStore(other).load(point_id)
            if (
                stored is None
                or not stored.is_finished
                or stored.content["facts"]["timing_invalid"]
            ):
                continue
            there = (stored.environment.get("code_hash"), stored.environment.get("machine_id"))
            if here == there:
                store.copy_from(other / POINTS / point_id)
                num_copied += 1
    return num_copied


def _placed(overrides: Sequence[str], name: str, exhibit: str | None) -> tuple[str, ...]:
    """Overrides with the folder: results_dir/name, or results_dir/name/exhibit within a suite."""
    kept = [o for o in overrides if _key(o) != "name"]
    if exhibit is None:
        return (*kept, f"name={quoted(name)}")
    typed = [o.partition("=")[2] for o in kept if _key(o) == "results_dir"]
    root = Path(unquoted(typed[-1]) if typed else "results") / name
    others = [o for o in kept if _key(o) != "results_dir"]
    return (*others, f"name={exhibit}", f"results_dir={quoted(root.as_posix())}")


def _key(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0]
