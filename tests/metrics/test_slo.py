"""Goodput and attainment by hand."""

import pandas as pd
import pytest

from dspark_bench.metrics.slo import Slo, has_arrived, meets
from dspark_bench.metrics.summary import SummaryContext, summarise
from tests.metrics.records import cycle, drafted, numbered, request

NEVER = float("nan")


def missing(reason: str, **values: object) -> dict[str, object]:
    """A request that was not served."""
    times = {"admitted_s": NEVER, "first_token_s": NEVER, "finished_s": NEVER}
    return request(finish_reason=reason, output_tokens=(), **times, **values)


def test_both_bounds_must_hold() -> None:
    rows = pd.DataFrame(
        [
            request(first_token_s=1.0, finished_s=3.0),  # ttft 1, tpot 1
            request(first_token_s=2.0, finished_s=3.0),  # ttft 2, tpot 0.5
            request(first_token_s=1.0, finished_s=1.0, output_tokens=(7,)),  # no tpot
            missing("rejected"),
            missing("stopped"),
            missing("not_sent", scheduled_s=NEVER),
        ]
    )
    assert meets(rows, Slo(ttft_s=1.0)).tolist() == [True, False, True, False, False, False]
    assert meets(rows, Slo(tpot_s=0.5)).tolist() == [False, True, True, False, False, False]
    assert meets(rows, Slo(1.0, 0.5)).tolist() == [False, False, True, False, False, False]
    assert not meets(rows, Slo(ttft_s=0.0)).any()
    assert has_arrived(rows).tolist() == [True] * 5 + [False]


def summary_of(slo: Slo) -> dict[str, object]:
    requests = pd.DataFrame(
        [
            request(first_token_s=1.0, finished_s=3.0),
            request(request_id=1, prompt_id="p1", first_token_s=5.0, finished_s=9.0),
            missing("rejected", request_id=2, prompt_id="p2"),
            missing("not_sent", request_id=3, prompt_id="p3", scheduled_s=NEVER),
            request(arm="baseline", first_token_s=2.0, finished_s=6.0),
            missing("stopped", arm="baseline", request_id=1, prompt_id="p1"),
            missing("stopped", arm="baseline", request_id=2, prompt_id="p2"),
            missing("stopped", arm="baseline", request_id=3, prompt_id="p3"),
        ]
    )
    cycles = numbered(
        [
            drafted(4, 1, True, started_s=0.0),
            drafted(4, 1, True, started_s=8.6, request_id=1),  # ends at 10 s
            cycle(arm="baseline", started_s=0.0, t_verify_s=4.0),
        ]
    )
    context = SummaryContext(gamma=4, concurrency=2, load="poisson", slo=slo)
    return dict(summarise(cycles, requests, context).as_row())


def test_goodput_counts_what_was_not_served_as_not_met() -> None:
    row = summary_of(Slo(ttft_s=2.0))
    assert row["goodput_req_s"] == pytest.approx(1 / 10)
    assert row["slo_attainment"] == pytest.approx(1 / 3)
    assert row["baseline_goodput_req_s"] == pytest.approx(1 / 4)
    assert row["baseline_slo_attainment"] == pytest.approx(1 / 4)


def test_unserved_requests_are_counted_and_left_out_of_latencies() -> None:
    row = summary_of(Slo())
    assert (row["n_requests"], row["n_unserved"], row["n_not_sent"]) == (2, 1, 1)
    assert (row["baseline_n_unserved"], row["baseline_n_not_sent"]) == (3, 0)
    assert (row["stop_reason"], row["baseline_stop_reason"]) == ("max_turn_s", "max_turn_s")
    assert row["ttft_p50_s"] == pytest.approx(3.0)
    assert row["ttft_p90_s"] == pytest.approx(4.6)
    # Only request 0 was served by both: 4 s against 2 s for two tokens, 6 s against 3 s in all.
    assert row["speedup"] == pytest.approx(2.0)
    assert row["speedup_e2e"] == pytest.approx(2.0)


def test_no_objective_has_no_goodput_and_zero_is_met_by_none() -> None:
    row = summary_of(Slo())
    assert row["goodput_req_s"] is None and row["slo_attainment"] is None
    row = summary_of(Slo(ttft_s=0.0, tpot_s=0.0))
    assert row["goodput_req_s"] == 0 and row["slo_attainment"] == 0
