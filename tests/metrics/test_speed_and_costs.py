"""Times of batches, throughput, speedup and costs, by hand."""

import math

import pandas as pd
import pytest

from dspark_bench.metrics import costs, speed
from dspark_bench.metrics.frames import batch_cycles
from dspark_bench.metrics.sums import Pooling, collect_sums
from tests.metrics.records import both_arms, cycle, drafted, numbered, request, total_of


def test_a_batch_is_timed_once() -> None:
    rows = [
        drafted(4, 4, request_id=0, batch_size=2),
        drafted(4, 0, True, request_id=1, batch_size=2),
    ]
    batches = batch_cycles(pd.DataFrame(rows))  # both rows are cycle 0
    assert len(batches) == 1
    assert batches["duration_s"].iloc[0] == pytest.approx(1.4)
    assert batches["num_emitted"].iloc[0] == 6


def test_same_cycle_number_of_another_turn_is_another_batch() -> None:
    rows = [drafted(4, 4), drafted(4, 4, block=1), drafted(4, 4, repeat=1)]
    assert len(batch_cycles(pd.DataFrame(rows))) == 3


def test_speedup_at_concurrency_one_includes_prefill() -> None:
    prefill = {"is_prefill": True, "has_prefill": True, "t_verify_s": 2.0}
    rows = [
        cycle(**prefill),
        drafted(4, 4),  # 1.4 s, 5 tokens
        drafted(4, 1, True),  # 1.4 s, 2 tokens
        drafted(4, 4, is_warmup=True),
        cycle(arm="baseline", **prefill),
        *[cycle(arm="baseline")] * 4,
    ]
    total = total_of(rows)
    # speculative 8 tokens in 2 + 2.8 s; baseline 5 tokens in 2 + 4 s
    assert speed.throughput_tok_s(total) == pytest.approx(8 / 4.8)
    assert speed.baseline_tok_s(total) == pytest.approx(5 / 6)
    assert speed.speedup_closed(total) == pytest.approx((8 / 4.8) / (5 / 6))


def test_ramp_up_and_drain_are_left_out_at_larger_concurrency() -> None:
    def turn(arm: str, full_s: float) -> list[dict[str, object]]:
        shared = {"arm": arm, "batch_size": 2, "t_verify_s": full_s, "cycle": 1}
        return [
            cycle(arm=arm, t_verify_s=50.0, cycle=0),
            cycle(request_id=0, **shared),
            cycle(request_id=1, **shared),
            cycle(arm=arm, t_verify_s=70.0, cycle=2),
        ]

    frame = pd.DataFrame(turn("speculative", 1.0) + turn("baseline", 3.0))
    total = collect_sums(frame, both_arms("p0", "p1"), Pooling(4, concurrency=2)).total()
    assert speed.throughput_tok_s(total) == pytest.approx(2 / 1.0)
    assert speed.speedup_closed(total) == pytest.approx(3.0)


def test_reading_the_first_prompts_is_ramp_up_and_later_prompts_are_not() -> None:
    """All prompts are read in one full batch; one request is replaced in mid-run."""

    def turn(arm: str, block: int, step_s: float) -> list[dict[str, object]]:
        reads = [(True, 40.0), (False, step_s), (True, 5.0), (False, step_s)]
        return [
            cycle(
                arm=arm,
                block=block,
                request_id=request_id,
                cycle=number,
                batch_size=2,
                has_prefill=has_prefill,
                t_verify_s=time_s,
            )
            for number, (has_prefill, time_s) in enumerate(reads)
            for request_id in range(2)
        ]

    rows = [
        row
        for block in (0, 1)
        for arm, step_s in (("baseline", 3.0), ("speculative", 1.0))
        for row in turn(arm, block, step_s)
    ]
    requests = [
        request(arm=arm, block=block, request_id=request_id)
        for block in (0, 1)
        for arm in ("baseline", "speculative")
        for request_id in range(2)
    ]
    shuffled = pd.DataFrame(rows).sample(frac=1, random_state=0)
    sums = collect_sums(shuffled, pd.DataFrame(requests), Pooling(4, concurrency=2))
    assert sums.time_s.tolist() == [1.0 + 5.0 + 1.0] * 2
    assert sums.baseline_time_s.tolist() == [3.0 + 5.0 + 3.0] * 2
    assert sums.tokens.tolist() == [6.0] * 2


def test_draft_cost_ratio_uses_clean_full_drafts() -> None:
    rows = [
        drafted(4, 4, t_draft_s=0.8),
        drafted(4, 4, t_draft_s=1.2),
        drafted(2, 2, t_draft_s=9.0),  # cut short
        drafted(4, 4, t_draft_s=9.0, has_prefill=True),
        cycle(arm="baseline", t_verify_s=2.0, t_engine_s=0.5),
        cycle(arm="baseline", t_verify_s=9.0, has_prefill=True),
    ]
    # t_draft(4) = 1.0; t_1 = 2.5; c = 1 / (4 * 2.5)
    total = total_of(rows)
    assert costs.baseline_step_s(total) == pytest.approx(2.5)
    assert costs.draft_cost_ratio(total, 4) == pytest.approx(0.1)
    assert costs.baseline_floor_ratio(total, 2.0) == pytest.approx(1.25)
    assert math.isnan(costs.baseline_floor_ratio(total, None))
    assert costs.stage_times_s(total)["t_draft_s"] == pytest.approx(11 / 3)
    assert math.isnan(costs.draft_cost_ratio(total, 0))


def test_open_loop_compares_times_per_token() -> None:
    # 2 tokens after the first: 2 s speculative, 4 s baseline; from the schedule 3 s and 6 s.
    requests = pd.DataFrame([request(), request(arm="baseline", first_token_s=2.0, finished_s=6.0)])
    rows = [
        drafted(4, 1, True, started_s=0.0),
        drafted(4, 1, True, started_s=8.6),  # idle in between: span 10 s
        cycle(arm="baseline"),
    ]
    total = collect_sums(numbered(rows), requests, Pooling(4, is_closed=False)).total()
    assert speed.speedup_open(total) == pytest.approx(2.0)
    assert speed.speedup_e2e(total) == pytest.approx(2.0)
    assert speed.throughput_tok_s(total) == pytest.approx(4 / 10)


def test_no_steady_cycle_is_nan() -> None:
    total = total_of([drafted(4, 4), cycle(arm="baseline")], concurrency=8)
    assert math.isnan(speed.speedup_closed(total))


def test_speed_per_user_is_a_mean_over_answered_requests() -> None:
    requests = pd.DataFrame(
        [
            request(finished_s=3.0),  # 2 tokens in 2 s
            request(finished_s=2.0),  # 2 tokens in 1 s
            request(output_tokens=(1,), finished_s=1.0),  # one token has no rate
            request(output_tokens=(), finish_reason="rejected"),
            request(arm="baseline", finished_s=5.0),  # 2 tokens in 4 s
        ]
    )
    cycles = numbered([drafted(4, 4), cycle(arm="baseline")])
    total = collect_sums(cycles, requests, Pooling(4)).total()
    assert speed.tok_s_per_user(total) == pytest.approx((1 + 2) / 2)
    assert speed.baseline_tok_s_per_user(total) == pytest.approx(0.5)


def test_a_cycle_is_all_of_its_stages() -> None:
    rows = [
        drafted(4, 4, t_schedule_s=0.1, t_accept_s=0.2, t_engine_s=0.3),
        drafted(4, 4),
        drafted(4, 4, has_prefill=True, t_verify_s=9.0),
    ]
    assert costs.cycle_s(total_of(rows)) == pytest.approx((2.0 + 1.4) / 2)
