"""What a stretch counts, by hand."""

import pytest

from dspark_bench.core.records import CycleRecord, RunResult
from dspark_bench.evidence.stretches import Served, ratio, served, throughput
from tests.cycles import cycle_record


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


def test_a_stretch_counts_its_full_batches() -> None:
    """Two cycles of both requests, then one of the last alone, which is not the steady part."""
    cycles = [cycle(0, 0, 2, 1, True), cycle(0, 1, 2, 1, True)]
    cycles += [cycle(1, 0, 2, 3, False), cycle(1, 1, 2, 2, False), cycle(2, 1, 1, 2, False)]
    found = served(RunResult([], cycles, 6.0), 2)
    assert (found.tokens, found.time_s) == (7, 4.0)
    assert (found.drafted, found.verified, found.cycles) == (6, 6, 3)  # one is always verified


def test_ratios_are_of_sums_and_stretches_are_paired() -> None:
    slow, fast = Served(100, 4.0, 40, 60, 20), Served(100, 2.0, 40, 60, 20)
    assert throughput([slow, fast]) == 200 / 6
    mixed = ratio([slow, fast, fast], [fast, fast, fast])
    assert mixed.value == pytest.approx(6 / 8) and mixed.low is not None and mixed.low < 0.6
    apart = [Served(100, time_s, 40, 60, 20) for time_s in (2.0, 1.0, 1.01)]
    paired = ratio(apart, [slow, fast, fast])  # twice as fast in every stretch
    assert paired.value == pytest.approx(2.0, rel=0.01)
    assert paired.low is not None and paired.low > 1.9
