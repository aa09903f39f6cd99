"""What the scheduler bench counts, by hand."""

from dataclasses import replace

import pytest

from dspark_bench.core.types import CycleRecord, RequestRecord, RunResult
from dspark_bench.evidence.bench_schedulers import (
    LEAST_ROUNDS,
    Served,
    frontier_table,
    num_rounds,
    ratio,
    served,
    table,
    throughput,
    user_speed,
)
from tests.cycles import cycle_record

TURN = Served(100, 2.0, 40, 60, 20, 0.1, 2.0, 50.0)


def cycle(number: int, request: int, size: int, emitted: int, is_prefill: bool) -> CycleRecord:
    """One second of proposing, half a second of choosing, and the pass."""
    return cycle_record(
        cycle=number,
        request_id=request,
        num_drafted=2,
        verify_len=1,
        is_rejected=True,
        num_emitted=emitted,
        is_prefill=is_prefill,
        has_prefill=is_prefill,
        batch_size=size,
        batch_tokens=2 * size,
        started_s=float(number),
        t_draft_s=1.0,
        t_schedule_s=0.5,
        t_verify_s=0.5,
    )


def answer(request: int, first_s: float, end_s: float, tokens: int) -> RequestRecord:
    return RequestRecord(
        request, f"p{request}", "code", 3, tuple(range(tokens)), "length", 0.0, 0.0, first_s, end_s
    )


def test_a_turn_counts_its_full_batches() -> None:
    """Two cycles of both requests, then one of the last alone, which is not the steady part."""
    cycles = [cycle(0, 0, 2, 1, True), cycle(0, 1, 2, 1, True)]
    cycles += [cycle(1, 0, 2, 3, False), cycle(1, 1, 2, 2, False), cycle(2, 1, 1, 2, False)]
    result = RunResult([answer(0, 2.0, 4.0, 4), answer(1, 2.0, 6.0, 5)], cycles, 6.0)
    found = served(result, 2)
    assert (found.tokens, found.time_s) == (7, 4.0)
    assert (found.drafted, found.verified, found.cycles) == (6, 6, 3)  # one is always verified
    assert (found.schedule_s, found.cycle_s) == (1.5, 6.0)
    assert found.user_tok_s == (3 / 2 + 4 / 4) / 2


def test_large_batches_have_fewer_rounds() -> None:
    assert [num_rounds(size, 24) for size in (1, 4, 16)] == [24, 12, 6]
    assert num_rounds(64, 8) == LEAST_ROUNDS


def test_ratios_are_of_sums_and_rounds_are_drawn_together() -> None:
    slow, fast = replace(TURN, time_s=4.0), TURN
    assert throughput([slow, fast]) == 200 / 6
    assert ratio([slow, slow], [fast, fast]) == pytest.approx((0.5, 0.5, 0.5))
    twice = [replace(turn, time_s=turn.time_s / 2) for turn in (slow, fast, fast)]
    assert ratio(twice, [slow, fast, fast]) == pytest.approx((2.0, 2.0, 2.0))
    value, low, high = ratio([slow, fast], [fast, fast])
    assert (value, low, high) == pytest.approx((2 / 3, 0.5, 1.0))


def test_tables_hold_a_row_per_arm() -> None:
    turns = {"none": [TURN], "fixed 2": [TURN], "hardware_aware": [replace(TURN, time_s=1.0)]}
    shown = table(4, turns)
    assert shown.row_count == 3 and len(shown.columns) == 6
    assert next(iter(shown.columns[-1].cells)) == "2.000 [2.000-2.000]"
    frontier = frontier_table("hardware_aware", {4: turns, 8: turns})
    assert list(frontier.columns[1].cells) == ["2.000", "2.000"]  # none, fixed 2
    assert user_speed([TURN]) == 50.0
