"""A sweep from its command line to its tables.

Everything that a user can get wrong is found before anything runs. The points then go through
Hydra's own multirun, so that its launchers work, in blocks that share a baseline, each as a task
that never raises.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from dspark_bench.commands.block_task import BLOCK_KEY, BlockTask
from dspark_bench.commands.blocks_left import blocks_left
from dspark_bench.commands.display import SweepDisplay
from dspark_bench.commands.interrupts import Interrupts
from dspark_bench.commands.kernel_notice import prepare_kernels
from dspark_bench.commands.launch import launch, remove_job_folders, run_here
from dspark_bench.commands.sweep_plan import PlannedSweep, SweepRequest, plan_request
from dspark_bench.commands.sweep_report import report_sweep
from dspark_bench.config.quoting import quoted
from dspark_bench.config.validate import check_writable
from dspark_bench.core.errors import ResultsError
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.measure.identity import HashCache
from dspark_bench.reading.rows import Row
from dspark_bench.store.failures import reason_of
from dspark_bench.store.folder_lock import folder_lock
from dspark_bench.store.point_store import POINTS, PointStore
from dspark_bench.store.round_store import forget_blocks, forget_foreign
from dspark_bench.store.tables import SweepPlan, read_plan, write_tables


def run_sweep(request: SweepRequest, console: Console) -> list[Row]:
    """Measure every point that is not there yet; print and return the rows of this sweep.

    Raises UsageError before anything runs, PointsFailedError at the end.
    """
    sweep = plan_request(request, HashCache(), console)
    check_writable(sweep.folder / POINTS)
    with folder_lock(sweep.folder):
        return run_planned(sweep, console)


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
            if sweep.request.is_fresh:
                forget_blocks(folder, wanted)
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
    rows = report_sweep(folder, plan, environment, num_kept, console, unstored)
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
