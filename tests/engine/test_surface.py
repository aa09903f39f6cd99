"""The profiler finds the costs of a machine whose costs are known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.records import CycleRecord, RequestRecord, RunResult
from dspark_bench.core.types import PlanContext, Request
from dspark_bench.engine.surface import (
    RAGGED,
    LengthCycle,
    grid_sizes,
    grid_widths,
    measure_surface,
)
from tests.cycles import cycle_record

PROMPTS = [Request(i, str(i), "", (1, 2, 3), 8) for i in range(3)]


def costs(lens: Sequence[int]) -> tuple[float, float]:
    """Seconds without drafting, and of drafting; every token that pads costs 0.01."""
    size, total = len(lens), sum(lens)
    padding = max(lens) * size - total
    return 1.0 + 0.1 * size + 0.05 * total + 0.01 * padding, 0.02 * size + 0.03 * total


class Machine:
    """Serves 60 cycles of the full batch and one of a batch that has begun to drain.

    Of what a cell is asked for, three cycles in five also read a prompt and take a hundredth of
    what they cost; of the others one in five takes a fourth of it and one forty times as much. So
    neither the mean nor the minimum is what a cycle costs, nor is the median of all cycles.
    """

    PACES = (1.0, 0.25, 1.0, 40.0, 1.0)

    def __init__(self, gamma: int = 4) -> None:
        self._gamma = gamma
        self._visits: Counter[tuple[int, ...]] = Counter()
        self._clean: Counter[tuple[int, ...]] = Counter()

    def __call__(self, size: int, scheduler: Scheduler, requests: Sequence[Request]) -> RunResult:
        assert len(requests) == size
        ids = tuple(request.request_id for request in requests)
        result = RunResult()
        for cycle in range(60):
            lens = scheduler.plan_draft(PlanContext(ids, (5,) * size, self._gamma, size))
            result.cycles.extend(self._cycle(cycle, ids, lens, *self._pace(tuple(lens))))
        if size > 1:
            rest = scheduler.plan_draft(PlanContext(ids[1:], (5,) * (size - 1), self._gamma, 1))
            result.cycles.extend(self._cycle(60, ids[1:], rest, 1e-3, has_prefill=False))
        return result

    def _pace(self, lens: tuple[int, ...]) -> tuple[float, bool]:
        """How many times as long as it costs the next cycle takes, and if it reads a prompt."""
        self._visits[lens] += 1
        if self._visits[lens] % 5 in (0, 2, 3):
            return 0.01, True
        self._clean[lens] += 1
        return self.PACES[self._clean[lens] % len(self.PACES) - 1], False

    def _cycle(
        self, cycle: int, ids: Sequence[int], lens: list[int], pace: float, has_prefill: bool
    ) -> list[CycleRecord]:
        step_s, draft_s = costs(lens)
        return [
            cycle_record(
                cycle=cycle,
                request_id=request_id,
                num_drafted=length,
                verify_len=length,
                full_width=True,
                has_prefill=has_prefill,
                batch_size=len(ids),
                batch_tokens=len(ids) + sum(lens),
                t_draft_s=pace * draft_s,
                t_verify_s=pace * step_s,
            )
            for request_id, length in zip(ids, lens, strict=True)
        ]


def test_known_costs_are_found() -> None:
    surface = measure_surface(Machine(), PROMPTS, largest=4, gamma=4, cycles_per_cell=6)
    assert surface.requests == (1, 2, 4) and surface.widths == (0, 1, 2, 3, 4)
    for size, row in zip(surface.requests, surface.step_s, strict=True):
        assert row == pytest.approx([costs([width] * size)[0] for width in surface.widths])
    assert surface.draft_s[2] == pytest.approx([0.12, 0.24, 0.36, 0.48])
    assert surface.absorb_s == pytest.approx([0.02, 0.04, 0.08])
    assert surface.warnings() == ()


def test_what_different_lengths_add_is_charged_per_cycle() -> None:
    """Lengths 4, 1, 2, 0: nine tokens pad."""
    surface = measure_surface(Machine(), PROMPTS, largest=4, gamma=4, cycles_per_cell=6)
    assert surface.uneven_s[:2] == (0.0, 0.0)
    assert surface.uneven_s[2] == pytest.approx(0.09, rel=0.05)


def test_lengths_come_in_turn() -> None:
    scheduler = LengthCycle((0, 2, RAGGED))
    context = PlanContext((0, 1, 2, 3, 4), (1,) * 5, 3, 5)
    found = [scheduler.plan_draft(context) for _ in range(4)]
    assert found == [[0] * 5, [2] * 5, [3, 3, 2, 0, 1], [0] * 5]
    assert scheduler.plan_draft(replace(context, gamma=1)) == [1] * 5


def test_grids_end_where_asked() -> None:
    assert grid_sizes(1) == (1,)
    assert grid_sizes(24) == (1, 2, 4, 8, 16, 24)
    assert grid_widths(64, 7) == (0, 1, 2, 4, 7)


def test_every_small_pass_is_measured_and_large_ones_are_taken_from_their_neighbours() -> None:
    assert grid_widths(1, 7) == (0, 1, 2, 3, 4, 5, 6, 7)
    assert grid_widths(4, 7) == (0, 1, 2, 3, 4, 7)
    assert grid_widths(1, 24) == (*range(17), 24)
    asked: dict[int, set[int]] = {}
    serve = Machine(gamma=7)

    def steps(size: int, scheduler: Scheduler, requests: Sequence[Request]) -> RunResult:
        """A pass of more than six drafts takes a second more."""
        result = serve(size, scheduler, requests)
        for record in result.cycles:
            asked.setdefault(size, set()).add(record.num_drafted)
        return RunResult(
            cycles=[
                replace(r, t_verify_s=r.t_verify_s + (r.num_drafted > 6)) for r in result.cycles
            ]
        )

    surface = measure_surface(steps, PROMPTS, largest=16, gamma=7, cycles_per_cell=2)
    assert asked[1] == set(range(8)) and 5 not in asked[16]
    one, sixteen = surface.step_s[0], surface.step_s[-1]
    assert one[7] - one[6] == pytest.approx(1.05) and one[6] - one[5] == pytest.approx(0.05)
    assert sixteen[5] - sixteen[4] == pytest.approx((sixteen[7] - sixteen[4]) / 3)


def test_nothing_to_profile_with_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one prompt"):
        measure_surface(Machine(), [], largest=1, gamma=2, cycles_per_cell=1)


def test_requests_that_end_at_once_cannot_be_profiled() -> None:
    def ends(size: int, scheduler: Scheduler, requests: Sequence[Request]) -> RunResult:
        return RunResult()

    with pytest.raises(UsageError, match="2 requests at once"):
        measure_surface(ends, PROMPTS, largest=2, gamma=2, cycles_per_cell=1, only_largest=True)


def test_requests_start_at_every_age() -> None:
    """A first run makes outputs of 24 tokens; then each request has read 0 to 8 of them."""
    asked: list[Sequence[Request]] = []
    serve = Machine()

    def speaks(size: int, scheduler: Scheduler, requests: Sequence[Request]) -> RunResult:
        asked.append(requests)
        result = serve(size, scheduler, requests)
        result.requests.extend(finished(request, range(100, 124)) for request in requests)
        return result

    prompts = [replace(prompt, max_new_tokens=24) for prompt in PROMPTS]
    measure_surface(speaks, prompts, largest=4, gamma=2, cycles_per_cell=6, only_largest=True)
    first, second, *_ = asked
    assert [len(r.prompt_tokens) for r in first] == [3] * 4
    assert [r.max_new_tokens for r in second] == [16] * 4
    read = [r.prompt_tokens[3:] for r in second]
    assert len({len(part) for part in read}) == 4 and max(map(len, read)) <= 8
    assert all(part == tuple(range(100, 100 + len(part))) for part in read)
    ids = [request.request_id for requests in asked for request in requests]
    assert len(set(ids)) == len(ids)


def finished(request: Request, tokens: Sequence[int]) -> RequestRecord:
    """A record of the request that says these tokens."""
    return RequestRecord(
        request_id=request.request_id, prompt_id=request.prompt_id, domain=request.domain,
        num_prompt_tokens=len(request.prompt_tokens), output_tokens=tuple(tokens),
        finish_reason="length", scheduled_s=0.0, admitted_s=0.0, first_token_s=0.0, finished_s=1.0,
    )  # fmt: skip
