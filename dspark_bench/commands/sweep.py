"""A sweep from its command line to its tables.

Everything that a user can get wrong is found before anything runs. The points then go through
Hydra's own multirun, so that its launchers work, in blocks that share a baseline, each as a task
that never raises.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from dspark_bench.commands.block_task import BLOCK_KEY, BlockTask
from dspark_bench.commands.blocks_left import blocks_left
from dspark_bench.commands.display import (
    SweepDisplay,
    divergence_lines,
    gap_table,
    result_table,
    row_label,
    serving_lines,
)
from dspark_bench.commands.domain_lines import domain_table
from dspark_bench.commands.foreign_lines import foreign_lines
from dspark_bench.commands.interrupts import Interrupts
from dspark_bench.commands.kernel_notice import prepare_kernels
from dspark_bench.commands.launch import launch, remove_job_folders, run_here
from dspark_bench.commands.loop_lines import loop_lines
from dspark_bench.commands.noise_lines import noise_lines
from dspark_bench.commands.precision_lines import precision_lines
from dspark_bench.commands.time_lines import time_lines
from dspark_bench.config.compose import Composed, hydra_session, search_path_override
from dspark_bench.config.compose_many import compose_points
from dspark_bench.config.expand import distinct_settings, expand, with_copies
from dspark_bench.config.point_config import to_point_config
from dspark_bench.config.quoting import as_hydra_reads, quoted
from dspark_bench.config.sweep_lists import refuse_sweep_list, with_plain_group
from dspark_bench.config.validate import check_overrides, check_point, check_writable
from dspark_bench.core.errors import (
    EXIT_INTERNAL,
    PointsFailedError,
    ResultsError,
    UsageError,
)
from dspark_bench.core.wording import number_of
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.measure.block_plan import PlannedPoint
from dspark_bench.measure.build import try_light_parts
from dspark_bench.measure.foreseen import check_measurable
from dspark_bench.measure.identity import HashCache, identify
from dspark_bench.reading.rows import FAILED, STALE, TIMING_INVALID, Row
from dspark_bench.store.failures import reason_of
from dspark_bench.store.folder_lock import folder_lock
from dspark_bench.store.point_store import ERROR_FILE, POINTS, PointStore, StoredPoint
from dspark_bench.store.round_store import RoundStore, forget_foreign
from dspark_bench.store.tables import SweepPlan, read_plan, table_rows, write_tables

_MANY = 20
"""Points whose check takes long enough to be told of."""


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """A command line: overrides as typed, `--config-dir`, `--fresh`, and whether it is `run`."""

    overrides: tuple[str, ...]
    config_dir: Path | None = None
    is_fresh: bool = False
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class PlannedSweep:
    """A sweep whose every point has been checked. overrides: typed ones with the search path."""

    request: SweepRequest
    overrides: tuple[str, ...]
    plan: SweepPlan
    points: tuple[PlannedPoint, ...]

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.points[0].config.folder


def run_sweep(request: SweepRequest, console: Console) -> list[Row]:
    """Measure every point that is not there yet; print and return the rows of this sweep.

    Raises UsageError before anything runs, PointsFailedError at the end.
    """
    sweep = plan_request(request, HashCache(), console)
    check_writable(sweep.folder / POINTS)
    with folder_lock(sweep.folder):
        return run_planned(sweep, console)


def plan_request(request: SweepRequest, hashes: HashCache, console: Console) -> PlannedSweep:
    """Check every point of a command line. Raises UsageError for the first mistake."""
    overrides = (*request.overrides, *search_path_override(request.config_dir, request.overrides))
    overrides = as_hydra_reads(with_plain_group(overrides))
    plan, points = plan_sweep(overrides, hashes, console, is_measured=True)
    if request.is_single and len(points) > 1:
        keys = ", ".join(plan.swept_keys)
        raise UsageError(f"run takes one point, but {keys} has several values; use sweep")
    return PlannedSweep(request, overrides, plan, tuple(points))


def run_planned(
    sweep: PlannedSweep, console: Console, environment: Environment | None = None
) -> list[Row]:
    """Measure the points of a checked sweep that are not there yet; print and return its rows.

    The caller holds the folder's lock. environment: as seen before the first of several sweeps,
    whose own load would show in a later look; None to look now. Raises ResultsError if nothing can
    be written, PointsFailedError at the end.
    """
    plan, folder, interrupts = sweep.plan, sweep.folder, Interrupts()
    wanted = list(dict.fromkeys(point.identity.point_id for point in sweep.points))
    with interrupts.listening():
        with _writing_to(folder):
            num_kept = _prepare(sweep, wanted)
            notes = _damage(folder, wanted)
            environment = environment or read_environment()
            blocks = blocks_left(sweep.points, folder, environment)
            forget_foreign(folder, environment)
            for block in blocks if sweep.request.is_fresh else ():
                RoundStore(folder, block.block_id, environment).forget()
            write_tables(folder, plan, environment)
        for line in notes:
            console.print(line, soft_wrap=True)
        if blocks:
            prepare_kernels(blocks[0].points[0].config, console)
        display = SweepDisplay(console, len(wanted) - num_kept)
        task = BlockTask(blocks, display, environment, plan.swept_keys, interrupts)
        lost = None
        try:
            if blocks:
                hydras = _hydras(sweep)
                if hydras:
                    lost = launch(task, [*hydras, *_jobs(len(blocks)), *_place(sweep)])
                else:
                    lost = run_here(task.run, len(blocks))
        finally:
            with interrupts.held():
                display.close()
                unwritten = _leave_tables(folder, plan, environment)
    unstored = {point_id: task.unstored.get(point_id, lost) for point_id in wanted}
    rows = _report(folder, plan, environment, num_kept, console, unstored)
    if unwritten is not None:
        raise ResultsError(f"cannot write the tables of {folder}: {unwritten}")
    return rows


def _hydras(sweep: PlannedSweep) -> list[str]:
    """What of the command line is Hydra's own, and so all that concerns a launcher."""
    return [o for o in sweep.overrides if o.lstrip("+~").startswith("hydra")]


def _jobs(num_blocks: int) -> list[str]:
    """One job per block."""
    return [f"+{BLOCK_KEY}={','.join(map(str, range(num_blocks)))}"]


def _place(sweep: PlannedSweep) -> list[str]:
    """Where Hydra's own files go: the folder as checked, whatever the configuration calls it."""
    results_dir = sweep.points[0].config.results_dir
    return [f"name={quoted(sweep.plan.name)}", f"results_dir={quoted(str(results_dir))}"]


def _prepare(sweep: PlannedSweep, wanted: Sequence[str]) -> int:
    """Clear away what is half written or not wanted; returns how many points are there."""
    store = PointStore(sweep.folder)
    store.sweep_up()
    if sweep.request.is_fresh:
        store.forget(wanted)
    return sum(store.is_finished(point_id) for point_id in wanted)


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResultsError(f"cannot write results to {folder}: {reason_of(error)}") from error


def _leave_tables(folder: Path, plan: SweepPlan, environment: Environment) -> str | None:
    """Why the folder could not be tidied and its tables written again; None if they could."""
    try:
        remove_job_folders(folder)
        write_tables(folder, plan, environment)
    except OSError as error:
        return reason_of(error)
    return None


def _damage(folder: Path, wanted: Sequence[str]) -> list[str]:
    """What cannot be read of earlier runs, and what becomes of it."""
    lines = []
    if (folder / "sweep.json").exists() and read_plan(folder) is None:
        lines.append("sweep.json is damaged: it is written anew, without earlier command lines")
    for point_id in PointStore(folder).damaged():
        fate = "it is measured again" if point_id in wanted else "its own command measures it again"
        lines.append(f"point {point_id} is damaged or incomplete: {fate}")
    return lines


def single_point(request: SweepRequest, verb: str) -> PlannedPoint:
    """The one point that the overrides name. Raises UsageError if they name several."""
    refuse_sweep_list(request.overrides, request.config_dir)
    overrides = (*request.overrides, *search_path_override(request.config_dir, request.overrides))
    plan, points = plan_sweep(with_plain_group(overrides), HashCache())
    if len(points) > 1:
        keys = ", ".join(plan.swept_keys)
        raise UsageError(f"{verb} takes one point, but {keys} has several values")
    return points[0]


def plan_sweep(
    overrides: Sequence[str],
    hashes: HashCache,
    console: Console | None = None,
    is_measured: bool = False,
) -> tuple[SweepPlan, list[PlannedPoint]]:
    """Expand, compose, check and identify every point.

    console: told of many points, whose check takes seconds; is_measured: whether the points shall
    be measured, which needs more than other verbs do. Raises UsageError for the first mistake, and
    says which point it is of and how many others have one.
    """
    overrides = as_hydra_reads(overrides)
    check_overrides(overrides)
    expansion = expand(with_copies(overrides))
    if console is not None and len(expansion.points) >= _MANY:
        console.print(f"checking {len(expansion.points)} points", highlight=False)
    with hydra_session():
        composed = compose_points(expansion.points)
    points, mistakes, sound = [], [], set[str]()
    for item, setting in zip(composed, distinct_settings(expansion.points), strict=True):
        try:
            points.append(_plan_point(item, expansion.name, hashes, is_measured, sound))
        except UsageError as error:
            mistakes.append((setting, error))
    if mistakes:
        raise _first_of(mistakes, len(composed))
    ids = [point.identity.point_id for point in points]
    typed = tuple(o for o in overrides if not o.startswith("hydra.searchpath"))
    plan = SweepPlan(
        expansion.name,
        (typed,),
        expansion.swept_keys,
        tuple(zip(ids, expansion.points, strict=True)),
    )
    return plan, points


def _plan_point(
    composed: Composed, name: str, hashes: HashCache, is_measured: bool, sound: set[str]
) -> PlannedPoint:
    config = to_point_config(composed, name)
    check_point(config, sound)
    try_light_parts(config)
    if is_measured:
        check_measurable(config)
    return PlannedPoint(config, identify(config, hashes))


def _first_of(mistakes: Sequence[tuple[str, UsageError]], num_points: int) -> UsageError:
    """The first mistake, named by what is swept, and how many other points have one. One that all
    points share has nothing to do with what is swept.
    """
    setting, error = mistakes[0]
    is_shared = len(mistakes) == num_points and len({str(own) for _, own in mistakes}) == 1
    if is_shared:
        return error
    others = "" if len(mistakes) == 1 else f" ({len(mistakes)} of {num_points} points cannot run)"
    return type(error)(f"{setting}: {error}{others}")


def _report(
    folder: Path,
    plan: SweepPlan,
    environment: Environment,
    num_kept: int,
    console: Console,
    unstored: Mapping[str, str | None],
) -> list[Row]:
    """Print the table of this sweep's points. Raises if some of them failed.

    unstored: why a point may have left nothing behind.
    """
    by_id = {row["point_id"]: row for row in table_rows(folder, plan, environment)}
    wanted = list(dict.fromkeys(point_id for point_id, _ in plan.points))
    mine = [by_id[point_id] for point_id in wanted if point_id in by_id]
    console.print(result_table(mine, plan.swept_keys, console.width))
    gaps = gap_table(mine, plan.swept_keys, console.width)
    if gaps is not None:
        console.print(gaps)
    store = PointStore(folder)
    by_domain = domain_table(_domains(store, mine, plan.swept_keys))
    if by_domain is not None:
        console.print(by_domain, soft_wrap=isinstance(by_domain, str))
    for row in mine:
        stored = store.load(row["point_id"])
        found = {} if stored is None else stored.content.get("lossless", {})
        label = row_label(row, plan.swept_keys)
        for line in (*divergence_lines(label, found), *serving_lines(label, row)):
            console.print(line, soft_wrap=True)

    def label_of(row: Row) -> str:
        return row_label(row, plan.swept_keys)

    lines = (*precision_lines(mine), *foreign_lines(mine, label_of), *noise_lines(mine, label_of))
    for line in (*lines, *loop_lines(mine, label_of)):
        console.print(line, soft_wrap=True)
    num_noisy = sum(row.get("is_noisy") is True for row in mine)
    if num_noisy:
        console.print(
            f"timed on a noisy machine: {num_noisy} of {number_of(len(mine), 'point')}; "
            "metrics.json says what was seen"
        )
    for line in time_lines(mine):
        console.print(line, soft_wrap=True)
    if num_kept:
        console.print(f"{num_kept} of {len(wanted)} points were there already")
    stale = [row for row in mine if row["status"] == STALE]
    if stale:
        console.print(
            f"{number_of(len(stale), 'point')} of other code or another machine (stale); "
            "--fresh measures again"
        )
    if any(row["status"] == TIMING_INVALID for row in mine):
        console.print("timing_invalid: another timed run shared this machine")
    if any(row.get("lossless_evidence") == "simulated" for row in mine):
        console.print(
            "forced: acceptance is simulated, by a stated profile; both arms emit recorded outputs"
        )
    if any(row.get("lossless_evidence") == "lossy" for row in mine):
        console.print(
            "lossy: the rule that judges drafts does not keep the target's law; S of such a point "
            "compares different texts"
        )
    if any(row.get("acceptance") == "replay" for row in mine):
        console.print("replay: drafts were judged along recorded outputs; both arms emit those")
    console.print(f"results: {folder}", soft_wrap=True)
    store = PointStore(folder)
    failed = [
        point for row in mine if row["status"] == FAILED if (point := store.load(row["point_id"]))
    ]
    missing = {point_id: unstored[point_id] for point_id in wanted if point_id not in by_id}
    _raise_for(failed, missing, plan, folder)
    return mine


def _domains(
    store: PointStore, rows: Sequence[Row], swept_keys: Sequence[str]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Label and figures by domain of each point that has them."""
    stored = [(row_label(row, swept_keys), store.load(row["point_id"])) for row in rows]
    found = [(label, point.content.get("domains")) for label, point in stored if point is not None]
    return [(label, domains) for label, domains in found if isinstance(domains, dict)]


def _raise_for(
    failed: Sequence[StoredPoint],
    missing: Mapping[str, str | None],
    plan: SweepPlan,
    folder: Path,
) -> None:
    """Raise if points failed: equal reasons once, with the settings that they stopped."""
    settings = distinct_settings([overrides for _, overrides in plan.points])
    names = {
        point_id: setting or f"point {point_id}"
        for (point_id, _), setting in zip(plan.points, settings, strict=True)
    }
    if failed and len(failed) == len(names):
        codes = {point.content.get("exit_code") for point in failed}
        if codes == {UsageError.exit_code}:
            raise UsageError(str(failed[0].content.get("message")))
    by_reason: dict[str, list[str]] = {}
    for point in failed:
        by_reason.setdefault(str(point.content.get("message")), []).append(names[point.point_id])
    for point_id, reason in missing.items():
        by_reason.setdefault(reason or "never ran", []).append(names[point_id])
    if not by_reason:
        return
    parts = [f"{', '.join(which)}: {reason}" for reason, which in by_reason.items()]
    bugs = [p.point_id for p in failed if p.content.get("exit_code") == EXIT_INTERNAL]
    if bugs:
        parts.append(f"traceback: {folder / POINTS / bugs[0] / ERROR_FILE}")
    num_failed = len(failed) + len(missing)
    raise PointsFailedError(f"{num_failed} of {len(names)} points failed: {'; '.join(parts)}")
