"""The row and the JSON of a point."""

import json

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics.lossless import check_greedy
from dspark_bench.metrics.positions import Agreement
from dspark_bench.metrics.summary import SummaryContext, summarise
from dspark_bench.metrics.theory import CostProfile
from tests.metrics.records import both_arms, cycle, drafted, numbered

ROW_KEYS = (
    "accepted_length acceptance_rate alpha draft_cost_ratio speedup speedup_ci_low "
    "speedup_ci_high speedup_basis speedup_theory speedup_model throughput_tok_s baseline_tok_s "
    "baseline_floor_ratio tok_s_per_user ttft_p50_s ttft_p99_s tpot_p50_s tpot_p99_s "
    "verify_budget verified_waste n_requests n_cycles lossless lossless_evidence "
    "prompt_tokens_p50 accepted_length_ci_low accepted_length_ci_high alpha_ci_low alpha_ci_high "
    "emitted_length t_draft_s t_schedule_s t_verify_s t_accept_s t_engine_s gap_truncation "
    "gap_non_iid gap_draft_cost gap_verify_cost gap_overhead gap_prefill_and_batching"
).split()


def _records() -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = []
    for place in range(3):
        key = {"request_id": place}
        rows += [
            drafted(4, 4, **key),
            drafted(4, place, True, **key),
            *[cycle(arm="baseline", **key)] * 4,
        ]
    frame = pd.DataFrame([row | {"cycle": place} for place, row in enumerate(rows)])
    return frame, both_arms("p0", "p1", "p2")


def test_row_and_json() -> None:
    cycles, requests = _records()
    flat = (1.0,) * 5
    context = SummaryContext(
        gamma=4,
        profile=CostProfile(1.0, flat, (0.4,) * 5, (0.0,) * 5, 1.0, 0.0),
        model_survival=(0.9, 0.8, 0.7, 0.6),
        model_mean_output_tokens=41.0,
        floor_step_s=0.5,
        lossless=check_greedy(requests),
        agreement=Agreement(np.array([[1.8, 1.7, 1.6, 1.5]]), np.array([2.0])),
    )
    summary = summarise(cycles, requests, context)
    row = summary.as_row()
    assert set(ROW_KEYS) <= set(row)
    # a = 4+0, 4+1, 4+2 over 6 cycles; 3 refusals
    assert row["accepted_length"] == pytest.approx(1 + 15 / 6)
    assert row["alpha"] == pytest.approx(15 / 18)
    assert row["draft_cost_ratio"] == pytest.approx(0.1)
    # 21 tokens in 6 * 1.4 s against 12 tokens in 12 s
    assert row["speedup"] == pytest.approx(21 / 8.4)
    # E = 4: (1 + 40) / (1 + 10 * 1.4)
    assert row["speedup_model"] == pytest.approx(41 / 15)
    assert row["baseline_floor_ratio"] == pytest.approx(2.0)
    assert (row["n_requests"], row["n_cycles"], row["lossless"]) == (3, 6, True)
    assert row["speedup_ci_low"] <= row["speedup"] <= row["speedup_ci_high"]
    stored = json.loads(json.dumps(summary.as_json(), allow_nan=False))
    assert stored["intervals"]["speedup"]["n"] == 3
    assert stored["positions"]["agreement"] == [0.9, 0.85, 0.8, 0.75]
    assert stored["counts"]["accepted"] == 15
    gap = sum(stored["speedup_gap"]["terms"].values())
    assert gap == pytest.approx(row["speedup"] - row["speedup_theory"])


def test_no_drafter_is_a_baseline_against_itself() -> None:
    rows = [cycle(arm=arm, full_width=False) for arm in ("baseline", "speculative")] * 3
    frame = pd.DataFrame([row | {"cycle": place} for place, row in enumerate(rows)])
    summary = summarise(frame, both_arms(), SummaryContext(gamma=0))
    row = summary.as_row()
    assert (row["speedup"], row["accepted_length"], row["alpha"]) == (1, 1, None)
    assert row["speedup_theory"] is None
    assert row["gap_truncation"] is None
    assert row["lossless_evidence"] == "untested"
    json.dumps(summary.as_json(), allow_nan=False)


def test_calibration_before_and_after_looks_at_full_width_cycles_only() -> None:
    before, after = {"confidence": (0.9, 0.5)}, {"calibrated": (0.5, 0.5)}
    rows = [
        drafted(2, 1, True, **before, **after),
        drafted(2, 0, True, **before, **after),
        drafted(1, 1, full_width=False, num_drafted=2, **before, **after),
        cycle(arm="baseline"),
    ]
    context = SummaryContext(gamma=2, is_selective=True)
    found = summarise(numbered(rows), both_arms(), context).calibration
    assert found["before"]["n"] == found["after"]["n"] == [2, 2]
    assert found["before"]["ece"] == pytest.approx([0.4, 0.45])
    assert found["after"]["ece"] == pytest.approx([0, 0.25])
    assert found["after"]["brier"] == pytest.approx([0.25, 0.0625])
    assert found["after"]["auc"] == [0.5, None]
    assert summarise(*_records(), SummaryContext(gamma=4)).calibration == {}


def test_open_loop_names_its_basis() -> None:
    cycles, requests = _records()
    row = summarise(cycles, requests, SummaryContext(gamma=4, load="poisson")).as_row()
    assert row["speedup_basis"] == "open_time_per_token"
    assert row["speedup"] == 1


def test_empty_records_give_none() -> None:
    cycles, requests = _records()
    row = summarise(cycles.iloc[:0], requests.iloc[:0], SummaryContext(gamma=4)).as_row()
    assert row["speedup"] is None
    assert row["alpha"] is None
    assert row["n_cycles"] == 0


def test_cycle_numbers_of_many_batches_are_kept_apart() -> None:
    cycles, requests = _records()
    many = pd.concat([cycles.assign(cycle=cycles["cycle"] + 100 * i) for i in range(500)])
    assert summarise(many, requests, SummaryContext(gamma=4)).as_row()["n_cycles"] == 3000
