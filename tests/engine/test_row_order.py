"""Rows move, what is computed does not."""

from collections.abc import Sequence

import pytest

from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, Request, SchedulerSpec
from dspark_bench.engine.row_order import MOST_SWAPS, order_rows
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.models.kv_cache import KVCache
from tests import tiny


class OddsAreLong:
    """Requests of odd number draft everything, the others one token: scattered and lasting."""

    spec = SchedulerSpec("odds_are_long")

    def plan_draft(self, context: PlanContext) -> list[int]:
        return [context.gamma if i % 2 else 1 for i in context.request_ids]

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        return list(draft_lens)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        pass


def batch(widths: Sequence[float], cache: KVCache) -> list[ActiveRequest]:
    states = []
    for number, width in enumerate(widths):
        row = cache.acquire()
        cache.set_length(row, 3)
        cache.keys[:, row] = cache.values[:, row] = number
        request = Request(number, "p", "d", (1, 2, 3), 9)
        states.append(ActiveRequest(request, row, row, 0, 0.0, 0.0, width, 3, 5))
    return states


def test_the_widest_behind_the_narrowest_changes_place_with_it() -> None:
    cache = tiny.target().new_cache(8, 16)
    states = batch([0, 5, 0, 0, 7, 0, 0, 6], cache)
    order_rows(states, [0, 5, 0, 0, 7, 0, 0, 6], cache)
    assert [state.row for state in states] == [4, 1, 7, 3, 0, 5, 6, 2]
    assert [state.draft_row for state in states] == list(range(8))
    for number, state in enumerate(states):
        assert (cache.keys[:, state.row, :3] == number).all()
        assert (cache.values[:, state.row, :3] == number).all()


def test_equal_widths_passing_differences_and_few_requests_move_nothing() -> None:
    cache = tiny.target().new_cache(8, 16)
    states = batch([4.0] * 8, cache)
    order_rows(states, [4] * 8, cache)
    order_rows(states, [0, 7, 0, 7, 0, 7, 0, 7], cache)  # once: no lasting difference
    assert [state.row for state in states] == list(range(8))
    order_rows(states[:2], [0, 40], cache)
    assert [state.row for state in states] == list(range(8))


def test_rows_of_different_length_are_exchanged_whole() -> None:
    cache = tiny.target().new_cache(2, 16)
    cache.keys[:, 0], cache.keys[:, 1] = 1.0, 2.0
    cache.set_length(0, 2)
    cache.set_length(1, 9)
    cache.swap(0, 1)
    assert cache.lengths == [9, 2]
    assert (cache.keys[:, 0, :9] == 2).all() and (cache.keys[:, 1, :2] == 1).all()


def test_outputs_are_those_of_a_batch_whose_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """More requests than rows, greedy: rows are freed and taken again after they moved."""
    moved: list[tuple[int, int]] = []
    swap = KVCache.swap

    def counted(cache: KVCache, first: int, second: int) -> None:
        moved.append((first, second))
        swap(cache, first, second)

    monkeypatch.setattr(KVCache, "swap", counted)
    requests = tiny.requests(20, 20)
    alone = tiny.serve(requests, None, concurrency=1, temperature=0.0)
    for name in ("semi_ar_vanilla", "ar"):
        moved.clear()
        served = tiny.serve(
            requests, tiny.drafter(name), scheduler=OddsAreLong(), concurrency=10, temperature=0.0
        )
        assert len(moved) > MOST_SWAPS
        assert tiny.outputs(served) == tiny.outputs(alone)
        accepted = sum(record.num_accepted for record in served.cycles)
        still = tiny.serve(
            requests, tiny.drafter(name), scheduler=OddsAreLong(), concurrency=1, temperature=0.0
        )
        assert accepted == sum(record.num_accepted for record in still.cycles)
