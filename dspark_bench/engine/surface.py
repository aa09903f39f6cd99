"""Measures the step-cost surface of this machine with the engine's own cycles.

For each number of requests a few runs are served in which the draft length changes from cycle to
cycle, so that every length meets the same state of the machine; medians over cycles without
prefill work become the cells of the surface. Requests start with a part of their own output already
read, each with another part: in service, too, batches hold young requests and old ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import median

import numpy as np

from dspark_bench.core.cost_surface import CostSurface, evaluate
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord, RunResult
from dspark_bench.core.types import PlanContext, Request, SchedulerSpec

ServeAll = Callable[[int, Scheduler, Sequence[Request]], RunResult]
"""(requests at once, scheduler, requests) -> records, all requests being there from the start."""

MOST_RUNS = 200
MEASURED_PART = 3
ENOUGH_MEASURED = 32
LEAST_MEASURED = 16
"""One in three of a request's output tokens is made while it is measured: of short outputs one in
two, up to the first of these numbers, and the second at least. Prompts read again and again would
take most of the time.
"""
TURN = (5**0.5 - 1) / 2
"""By how much the parts already read move on from run to run (golden ratio: no part twice)."""
MANY = 64
"""Cells of few requests are measured in more cycles, so that this many requests' cycles are."""
EACH_COUNTS = 16
"""Passes of up to this many tokens grow in steps, so each is measured; larger ones grow evenly."""
RAGGED = -1
RAGGED_FROM = 4
"""Least number of requests of which a quarter is not all."""
Cell = tuple[int, int]
"""Requests, and drafts verified by each."""


class LengthCycle:
    """Walks through draft lengths, one per cycle, the same for every request.

    A length of `RAGGED` stands for a batch as confidences make it: gamma in its first quarter,
    where `row_order` puts long drafts that last, and 0, 1, 2 in turn behind it.
    """

    spec = SchedulerSpec("length_cycle")

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = tuple(lengths)
        self._turn = 0

    def plan_draft(self, context: PlanContext) -> list[int]:
        """The next length."""
        length = self._lengths[self._turn % len(self._lengths)]
        self._turn += 1
        size = len(context.request_ids)
        if length == RAGGED:
            return [
                context.gamma if 4 * place < size else min(place % 3, context.gamma)
                for place in range(size)
            ]
        return [min(length, context.gamma)] * size

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """Everything."""
        return list(draft_lens)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learns nothing."""


def grid_sizes(largest: int) -> tuple[int, ...]:
    """Powers of two up to `largest`, and `largest`."""
    powers = [1 << place for place in range(largest.bit_length())]
    return tuple(sorted({*(size for size in powers if size <= largest), largest}))


def grid_widths(size: int, gamma: int) -> tuple[int, ...]:
    """Verify lengths that are measured for `size` requests: 0, powers of two up to gamma, gamma,
    and all those that make small passes.
    """
    small = range(min(gamma, EACH_COUNTS // size - 1) + 1)
    return tuple(sorted({0, *grid_sizes(gamma), *small}))


def measure_surface(
    serve: ServeAll,
    prompts: Sequence[Request],
    largest: int,
    gamma: int,
    cycles_per_cell: int,
    only_largest: bool = False,
) -> CostSurface:
    """Measure every cell at least `cycles_per_cell` times, small batches more often.

    prompts: their `max_new_tokens` says how long outputs are; only_largest: leave out the smaller
    numbers of requests. Raises ValueError without prompts, UsageError if they never fill a batch.
    """
    if not prompts:
        raise ValueError("profiling needs at least one prompt")
    sizes = (largest,) if only_largest else grid_sizes(largest)
    cells: dict[Cell, list[CycleRecord]] = {}
    for size in sizes:
        measured = grid_widths(size, gamma)
        lengths = (*measured, RAGGED) if size >= RAGGED_FROM and gamma > 1 else measured
        num_cycles = cycles_per_cell if only_largest else max(cycles_per_cell, MANY // size)
        for cell, found in _measure_size(serve, prompts, size, lengths, num_cycles).items():
            cells.setdefault(cell, []).extend(found)
    without_uneven = _without_uneven(cells, sizes, gamma)
    uneven = tuple(
        _uneven_s(without_uneven, size, gamma, cells.get((size, RAGGED), [])) for size in sizes
    )
    return replace(without_uneven, uneven_s=uneven)


def _without_uneven(
    cells: Mapping[Cell, Sequence[CycleRecord]], sizes: Sequence[int], gamma: int
) -> CostSurface:
    """Medians of every width that some size is measured at, the others' taken from in between."""
    widths = grid_widths(1, gamma)
    steps, drafts, absorb = [], [], []
    for size in sizes:
        measured = grid_widths(size, gamma)
        step = [_median(cells[size, width], _step_s) for width in measured]
        draft = [_median(cells[size, width], _draft_s) for width in measured]
        made = [max(0.0, seconds - draft[0]) for seconds in draft[1:]]
        steps.append(tuple(map(float, np.interp(widths, measured, step))))
        drafts.append(tuple(map(float, np.interp(widths[1:], measured[1:], made))))
        absorb.append(draft[0])
    nothing = (0.0,) * len(sizes)
    return CostSurface(
        tuple(sizes), widths, tuple(steps), widths[1:], tuple(drafts), tuple(absorb), nothing
    )


def _uneven_s(surface: CostSurface, size: int, gamma: int, records: Sequence[CycleRecord]) -> float:
    """What the ragged cycles took longer than an even batch of as many tokens."""
    if not records:
        return 0.0
    total = records[0].batch_tokens - size
    mean = total / size
    even_s = float(evaluate(surface.step_curve(size), np.array([mean]))[0])
    even_s += float(evaluate(surface.draft_curve(gamma), np.array([total / gamma]))[0])
    even_s += surface.absorb_at(size)
    took_s = _median(records, _step_s) + _median(records, _draft_s)
    return max(0.0, took_s - even_s)


def _measure_size(
    serve: ServeAll,
    prompts: Sequence[Request],
    size: int,
    widths: Sequence[int],
    cycles_per_cell: int,
) -> dict[Cell, list[CycleRecord]]:
    """One cycle record per clean cycle of the full batch, by cell."""
    found: dict[Cell, list[CycleRecord]] = {(size, width): [] for width in widths}
    scheduler = LengthCycle(widths)
    fresh = [replace(prompts[place % len(prompts)], request_id=place) for place in range(size)]
    outputs = {r.request_id: r.output_tokens for r in serve(size, scheduler, fresh).requests}
    number = 0
    while min(map(len, found.values())) < cycles_per_cell:
        number += 1
        if number > MOST_RUNS:
            raise UsageError(
                f"step costs of {size} requests at once cannot be profiled: the prompts set apart "
                "end too soon for a full batch"
            )
        requests = [
            replace(
                _resumed(request, outputs.get(place, ()), (place / size + number * TURN) % 1.0),
                request_id=number * size + place,
            )
            for place, request in enumerate(fresh)
        ]
        cycles = serve(size, scheduler, requests).cycles
        for _, group in groupby(cycles, key=lambda record: record.cycle):
            batch = list(group)
            first, lens = batch[0], {record.num_drafted for record in batch}
            if first.batch_size == size and not first.has_prefill:
                found[size, lens.pop() if len(lens) == 1 else RAGGED].append(first)
    return found


def _resumed(request: Request, output: tuple[int, ...], part: float) -> Request:
    """The request with `part` (0 to 1) of its output read, but for what is to be measured."""
    third = -(-request.max_new_tokens // MEASURED_PART)
    half = min(ENOUGH_MEASURED, -(-request.max_new_tokens // 2))
    num_measured = min(request.max_new_tokens, max(LEAST_MEASURED, third, half))
    num_read = int(part * max(0, len(output) - num_measured))
    return replace(
        request,
        prompt_tokens=request.prompt_tokens + output[:num_read],
        max_new_tokens=num_measured,
    )


def _step_s(record: CycleRecord) -> float:
    return record.duration_s - record.t_draft_s


def _draft_s(record: CycleRecord) -> float:
    return record.t_draft_s


def _median(records: Sequence[CycleRecord], of: Callable[[CycleRecord], float]) -> float:
    return median(of(record) for record in records)
