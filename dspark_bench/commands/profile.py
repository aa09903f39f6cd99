"""`dspark-bench profile`: measure what a cycle costs here, for schedulers to read.

Covers 1 to `load.concurrency` requests at once (or the load's `max_concurrency`) and draft lengths
up to `gamma`.
"""

import torch
from rich.console import Console
from rich.table import Table

from dspark_bench.commands.kernel_notice import prepare_kernels
from dspark_bench.commands.sweep_plan import SweepRequest, single_point
from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import UsageError
from dspark_bench.machine.environment import read_environment
from dspark_bench.measure.build import ModelCache, build_point, choose_threads
from dspark_bench.measure.build_tree import refuse_tree
from dspark_bench.measure.cost_profiles import measure_and_keep
from dspark_bench.measure.timing_lock import timing_lock


def run_profile(request: SweepRequest, console: Console) -> CostSurface:
    """Measure, keep and print the surface of one configuration. Raises UsageError."""
    planned = single_point(request, "profile")
    point = planned.config
    if not point.has_drafter:
        raise UsageError("drafter=none has no step costs to profile; choose a drafter")
    refuse_tree(point, "profile")
    torch.set_num_threads(choose_threads(point))
    prepare_kernels(point, console)
    objects = build_point(point, ModelCache())
    with timing_lock() as lock:
        found = measure_and_keep(point, objects, planned.identity, read_environment())
        is_shared = lock.is_shared
    for title, table in surface_tables(found.surface):
        console.print(title)
        console.print(table)
    for warning in found.surface.warnings():
        console.print(f"warning: {warning}", highlight=False)
    if is_shared:
        console.print("warning: another timed run shared this machine", highlight=False)
    console.print(f"written: {found.path}", soft_wrap=True)
    return found.surface


def surface_tables(surface: CostSurface) -> tuple[tuple[str, Table], tuple[str, Table]]:
    """Milliseconds of a cycle without drafting, and of drafting; one row per batch size."""
    step, draft = _table((*surface.widths, "uneven")), _table((0, *surface.slots))
    for size, row, more in zip(surface.requests, surface.step_s, surface.uneven_s, strict=True):
        step.add_row(str(size), *(f"{value * 1e3:.2f}" for value in (*row, more)))
    for size, row, absorb in zip(surface.requests, surface.draft_s, surface.absorb_s, strict=True):
        draft.add_row(str(size), f"{absorb * 1e3:.2f}", *(f"{v * 1e3:.2f}" for v in row))
    return (
        (
            "cycle without drafting, ms, by drafts verified per request "
            "(uneven: more where requests verify different lengths)",
            step,
        ),
        ("drafting, ms, by draft length (0: reading what was committed)", draft),
    )


def _table(columns: tuple[int | str, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("requests", *map(str, columns)):
        table.add_column(name, justify="right")
    return table
