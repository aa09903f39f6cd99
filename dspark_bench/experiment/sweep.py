"""A sweep from its command line to its tables.

Everything that a user can get wrong is found before anything runs. The points then go through
Hydra's own multirun, so that its launchers work; the task gives back a status and never raises,
because one that raises would take the later points with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from dspark_bench.core.errors import PointsFailedError, UsageError
from dspark_bench.experiment.build import try_light_parts
from dspark_bench.experiment.compose import (
    Composed,
    compose_point,
    hydra_session,
    search_path_override,
)
from dspark_bench.experiment.display import (
    SweepDisplay,
    divergence_lines,
    gap_table,
    result_table,
    row_label,
    serving_lines,
)
from dspark_bench.experiment.environment import Environment, read_environment
from dspark_bench.experiment.expand import expand
from dspark_bench.experiment.identity import HashCache, Identity, identify
from dspark_bench.experiment.launch import launch, remove_job_folders
from dspark_bench.experiment.point import RunMemory, run_point
from dspark_bench.experiment.point_config import PointConfig, to_point_config
from dspark_bench.experiment.schema import GROUPS
from dspark_bench.experiment.store import POINTS, PointStore, StoredPoint, flatten
from dspark_bench.experiment.sweep_lists import refuse_sweep_list, with_plain_group
from dspark_bench.experiment.tables import (
    FAILED,
    FINISHED,
    STALE,
    TIMING_INVALID,
    Row,
    SweepPlan,
    read_plan,
    write_tables,
)
from dspark_bench.experiment.validate import check_overrides, check_point, check_writable

_OTHER_GROUPS = tuple(group for group in GROUPS if group not in ("drafter", "workload"))


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """A command line: overrides as typed, `--config-dir`, `--fresh`, and whether it is `run`."""

    overrides: tuple[str, ...]
    config_dir: Path | None = None
    is_fresh: bool = False
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """A checked point."""

    config: PointConfig
    identity: Identity


@dataclass(frozen=True, slots=True)
class PlannedSweep:
    """A sweep whose every point has been checked. overrides: typed ones with the search path."""

    request: SweepRequest
    overrides: tuple[str, ...]
    plan: SweepPlan
    points: tuple[PlannedPoint, ...]


class PointTask:
    """What Hydra calls for each point. Picklable, so that any launcher can carry it."""

    def __init__(
        self,
        name: str,
        display: SweepDisplay,
        environment: Environment | None = None,
        swept_keys: Sequence[str] = (),
    ) -> None:
        """environment: of this process; None to look when the first point begins."""
        self._name = name
        self._swept_keys = tuple(swept_keys)
        self._display = display
        self._environment = environment
        self._memory = RunMemory.empty()
        self._hashes = HashCache()

    def __reduce__(self) -> tuple[type["PointTask"], tuple[str, SweepDisplay]]:
        """Another process starts with nothing in memory, on a machine of its own."""
        return PointTask, (self._name, self._display)

    def __call__(self, config: DictConfig) -> str:
        """Measure a point unless that has been done. Returns its status."""
        try:
            point = to_point_config(_composed_task(config), self._name)
            identity = identify(point, self._hashes)
        except Exception as error:
            self._display.end(f"failed: {error}")
            return FAILED
        if PointStore(point.folder).is_finished(identity.point_id):
            return FINISHED
        return self._measure(point, identity)

    def _measure(self, point: PointConfig, identity: Identity) -> str:
        store = PointStore(point.folder)
        self._environment = self._environment or read_environment()
        watcher = self._display.begin(_label(point, self._swept_keys))
        try:
            result = run_point(point, identity, self._environment, self._memory, watcher)
            store.save_result(point, identity, result)
        except Exception as error:
            store.save_failure(point, identity, self._environment, error)
            self._display.end(f"failed: {error}")
            return FAILED
        speedup = result.summary.headline["speedup"].value
        self._display.end("no speedup" if speedup is None else f"S = {speedup:.2f}")
        return FINISHED


def run_sweep(request: SweepRequest, console: Console) -> list[Row]:
    """Measure every point that is not there yet; print and return the rows of this sweep.

    Raises UsageError before anything runs, PointsFailedError at the end.
    """
    return run_planned(plan_request(request, HashCache()), console)


def plan_request(request: SweepRequest, hashes: HashCache) -> PlannedSweep:
    """Check every point of a command line. Raises UsageError for the first mistake."""
    overrides = (*request.overrides, *search_path_override(request.config_dir))
    overrides = with_plain_group(overrides)
    plan, points = plan_sweep(overrides, hashes)
    if request.is_single and len(points) > 1:
        keys = ", ".join(plan.swept_keys)
        raise UsageError(f"run takes one point, but {keys} has several values; use sweep")
    return PlannedSweep(request, overrides, plan, tuple(points))


def run_planned(
    sweep: PlannedSweep, console: Console, environment: Environment | None = None
) -> list[Row]:
    """Measure the points of a checked sweep that are not there yet; print and return its rows.

    environment: as seen before the first of several sweeps, whose own load would show in a later
    look; None to look now. Raises ResultsError if nothing can be written, PointsFailedError at the
    end.
    """
    plan, points = sweep.plan, sweep.points
    folder = points[0].config.folder
    check_writable(folder / POINTS)
    store = PointStore(folder)
    store.sweep_up()
    if sweep.request.is_fresh:
        store.forget(point.identity.point_id for point in points)
    notes = _damage(folder, store, [point.identity.point_id for point in points])
    environment = environment or read_environment()
    write_tables(folder, plan, environment)
    wanted = list(dict.fromkeys(point.identity.point_id for point in points))
    for line in notes:
        console.print(line, soft_wrap=True)
    num_pending = sum(not store.is_finished(point_id) for point_id in wanted)
    display = SweepDisplay(console, num_pending)
    try:
        if num_pending:
            task = PointTask(plan.name, display, environment, plan.swept_keys)
            launch(task, [*sweep.overrides, f"name={_quoted(plan.name)}"])
    finally:
        display.close()
        remove_job_folders(folder)
        rows = write_tables(folder, plan, environment)
    return _report(folder, plan, rows, len(wanted) - num_pending, console)


def _damage(folder: Path, store: PointStore, wanted: Sequence[str]) -> list[str]:
    """What cannot be read of earlier runs, and what becomes of it."""
    lines = []
    if (folder / "sweep.json").exists() and read_plan(folder) is None:
        lines.append("sweep.json is damaged: it is written anew, without earlier command lines")
    for point_id in store.damaged():
        fate = "it is measured again" if point_id in wanted else "its own command measures it again"
        lines.append(f"point {point_id} is damaged or incomplete: {fate}")
    return lines


def single_point(request: SweepRequest, verb: str) -> PlannedPoint:
    """The one point that the overrides name. Raises UsageError if they name several."""
    refuse_sweep_list(request.overrides, request.config_dir)
    overrides = (*request.overrides, *search_path_override(request.config_dir))
    plan, points = plan_sweep(with_plain_group(overrides), HashCache())
    if len(points) > 1:
        keys = ", ".join(plan.swept_keys)
        raise UsageError(f"{verb} takes one point, but {keys} has several values")
    return points[0]


def plan_sweep(overrides: Sequence[str], hashes: HashCache) -> tuple[SweepPlan, list[PlannedPoint]]:
    """Expand, compose, check and identify every point. Raises UsageError for the first mistake."""
    check_overrides(overrides)
    expansion = expand(overrides)
    with hydra_session():
        composed = [compose_point(point) for point in expansion.points]
    points = []
    for item in composed:
        config = to_point_config(item, expansion.name)
        check_point(config)
        try_light_parts(config)
        points.append(PlannedPoint(config, identify(config, hashes)))
    ids = [point.identity.point_id for point in points]
    typed = tuple(o for o in overrides if not o.startswith("hydra.searchpath"))
    plan = SweepPlan(
        expansion.name,
        typed,
        expansion.swept_keys,
        tuple(zip(ids, expansion.points, strict=True)),
    )
    return plan, points


def _composed_task(config: DictConfig) -> Composed:
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    choices = HydraConfig.get().runtime.choices
    return Composed(
        {str(key): value for key, value in values.items()},
        {group: choices.get(group) for group in GROUPS},
    )


def _label(point: PointConfig, swept_keys: Sequence[str]) -> str:
    """Drafter, gamma and workload, and whatever else differs between the points."""
    drafted = f"gamma={point.gamma} " if point.has_drafter else ""
    values = flatten(point.values)
    others = [f" {key}={values[key]}" for key in swept_keys if key != "gamma" and key in values]
    chosen = [f" {key}={point.choices[key]}" for key in swept_keys if key in _OTHER_GROUPS]
    return f"{point.drafter.name} {drafted}{point.workload.name}{''.join(others + chosen)}"


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "\\'") + "'"


def _report(
    folder: Path, plan: SweepPlan, rows: Sequence[Row], num_kept: int, console: Console
) -> list[Row]:
    """Print the table of this sweep's points. Raises if some of them failed."""
    by_id = {row["point_id"]: row for row in rows}
    wanted = list(dict.fromkeys(point_id for point_id, _ in plan.points))
    mine = [by_id[point_id] for point_id in wanted if point_id in by_id]
    console.print(result_table(mine, plan.swept_keys))
    gaps = gap_table(mine, plan.swept_keys)
    if gaps is not None:
        console.print(gaps)
    store = PointStore(folder)
    for row in mine:
        stored = store.load(row["point_id"])
        found = {} if stored is None else stored.content.get("lossless", {})
        label = row_label(row, plan.swept_keys)
        for line in (*divergence_lines(label, found), *serving_lines(label, row)):
            console.print(line, soft_wrap=True)
    if num_kept:
        console.print(f"{num_kept} of {len(wanted)} points were there already")
    stale = [row for row in mine if row["status"] == STALE]
    if stale:
        console.print(
            f"{len(stale)} points come from other code or another machine (stale); "
            "--fresh measures them again"
        )
    if any(row["status"] == TIMING_INVALID for row in mine):
        console.print("timing_invalid: another timed run shared this machine")
    if any(row.get("acceptance") == "replay" for row in mine):
        console.print("replay: drafts were judged along recorded outputs; both arms emit those")
    console.print(f"results: {folder}", soft_wrap=True)
    store = PointStore(folder)
    failed = [
        point for row in mine if row["status"] == FAILED if (point := store.load(row["point_id"]))
    ]
    missing = [point_id for point_id in wanted if point_id not in by_id]
    _raise_for(failed, missing, len(wanted))
    return mine


def _raise_for(failed: Sequence[StoredPoint], missing: Sequence[str], num_points: int) -> None:
    if failed and len(failed) == num_points:
        codes = {point.content.get("exit_code") for point in failed}
        if codes == {UsageError.exit_code}:
            raise UsageError(str(failed[0].content.get("message")))
    named = [f"{point.point_id} ({point.content.get('message')})" for point in failed]
    named += [f"{point_id} (never ran)" for point_id in missing]
    if named:
        raise PointsFailedError(f"{len(named)} of {num_points} points failed: {'; '.join(named)}")
