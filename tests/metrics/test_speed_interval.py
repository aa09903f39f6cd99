"""Every S has an interval, or says why not."""

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics.log_ratio import log_ratio_interval
from dspark_bench.metrics.more_units import Ending
from dspark_bench.metrics.summary import SummaryContext, summarise
from tests.metrics.records import both_arms, cycle, request

_HIGH = log_ratio_interval(np.array([[2, time_s, 2, 1] for time_s in (0.5, 0.4, 0.6)])).high
"""The upper end of S = 2 from three blocks of 0.5, 0.4 and 0.6 s."""


def _blocks(speculative_s: list[float], concurrency: int = 2) -> pd.DataFrame:
    """One full batch per block and arm: 2 tokens in these seconds, in 1 s for the baseline."""
    rows = []
    for block, time_s in enumerate(speculative_s):
        for arm, taken_s in (("baseline", 1.0), ("speculative", time_s)):
            for request_id in range(2):
                key = {"repeat": block, "block": block, "request_id": request_id}
                rows.append(cycle(arm=arm, t_verify_s=taken_s, batch_size=concurrency, **key))
    return pd.DataFrame(rows)


def _row(cycles: pd.DataFrame, **context: object) -> dict[str, object]:
    requests = [
        request(arm=arm, repeat=repeat, block=repeat)
        for arm in ("baseline", "speculative")
        for repeat in range(12)
    ]
    return summarise(cycles, pd.DataFrame(requests), SummaryContext(gamma=4, **context)).as_row()


def test_few_blocks_have_students_interval() -> None:
    row = _row(_blocks([0.5, 0.4, 0.6]), concurrency=2)
    assert row["speedup"] == pytest.approx(2.0)
    assert row["speedup_ci_high"] == pytest.approx(_HIGH)
    basis = "3 rounds, Student's t; too few for a verdict (measure.repeats=6 or more)"
    assert row["speedup_interval_basis"] == basis


def test_the_advice_is_of_what_ended_the_measurement() -> None:
    cycles = _blocks([0.5, 0.4, 0.6])

    def said(ending: Ending) -> object:
        return _row(cycles, concurrency=2, ending=ending)["speedup_interval_basis"]

    assert "verdict (measure.max_rounds=6 or more)" in str(said(Ending.PRECISION))
    assert "verdict (going on with the same command)" in str(said(Ending.SIGNAL))


def test_many_blocks_have_it_too() -> None:
    row = _row(_blocks([0.5, 0.4, 0.6] * 4), concurrency=2)
    assert row["speedup_interval_basis"] == "12 rounds, Student's t"


def test_one_unit_says_why_there_is_no_interval() -> None:
    rows = [cycle(arm="baseline", t_verify_s=2.0), cycle(t_verify_s=1.0)]
    frame = pd.DataFrame([row | {"cycle": n} for n, row in enumerate(rows)])
    row = summarise(frame, both_arms(), SummaryContext(gamma=4)).as_row()
    assert (row["speedup"], row["speedup_ci_low"]) == (2.0, None)
    assert row["speedup_interval_basis"] == (
        "no interval: 1 prompt, nothing to compare it with; num_requests=6 or more gives one"
    )


def test_no_steady_part_says_what_would_give_one() -> None:
    row = _row(_blocks([1.0] * 3, concurrency=1), concurrency=4)
    assert row["speedup"] is None
    assert "never had 4 requests in its batch" in str(row["speedup_interval_basis"])
    assert "num_requests=8" in str(row["speedup_interval_basis"])


def test_open_loops_use_latencies() -> None:
    requests = [
        request(arm=arm, repeat=block, block=block, first_token_s=0.0, finished_s=2 * per_token)
        for block, fast in enumerate((0.5, 0.4, 0.6))
        for arm, per_token in (("baseline", 1.0), ("speculative", fast))
    ]
    context = SummaryContext(gamma=4, load="poisson", concurrency=8)
    row = summarise(_blocks([0.5] * 3), pd.DataFrame(requests), context).as_row()
    assert row["speedup"] == pytest.approx(2.0)
    assert row["speedup_ci_high"] == pytest.approx(_HIGH)
    assert str(row["speedup_interval_basis"]).startswith("3 rounds, Student's t")


def test_the_latency_ratio_has_an_interval_too() -> None:
    requests = [
        request(arm=arm, repeat=block, block=block, finished_s=taken_s)
        for block, fast in enumerate((0.5, 0.4, 0.6))
        for arm, taken_s in (("baseline", 1.0), ("speculative", fast))
    ]
    context = SummaryContext(gamma=4, concurrency=2)
    row = summarise(_blocks([0.5] * 3), pd.DataFrame(requests), context).as_row()
    assert row["speedup_e2e"] == pytest.approx(2.0)
    assert row["speedup_e2e_ci_high"] == pytest.approx(_HIGH)
    single = pd.DataFrame([cycle(arm="baseline", cycle=0), cycle(cycle=1)])
    one = summarise(single, both_arms(), SummaryContext(gamma=4)).as_row()
    assert one["speedup_e2e"] is not None and one["speedup_e2e_ci_low"] is None


def test_no_s_where_no_cycle_was_speculated() -> None:
    """Two users, one token each: every cycle reads prompts, and S would compare those."""
    rows = [
        cycle(arm=arm, repeat=block, block=block, is_prefill=True, has_prefill=True)
        for block in range(8)
        for arm in ("baseline", "speculative")
    ]
    requests = pd.DataFrame(
        [
            request(arm=arm, repeat=block, block=block, output_tokens=(1,), first_token_s=3.0)
            for block in range(8)
            for arm in ("baseline", "speculative")
        ]
    )
    context = {"gamma": 4, "load": "closed"}
    row = summarise(pd.DataFrame(rows), requests, SummaryContext(**context)).as_row()  # type: ignore[arg-type]
    assert (row["speedup"], row["speedup_ci_low"], row["speedup_ci_high"]) == (None, None, None)
    assert str(row["speedup_interval_basis"]).startswith("no S: no cycle was speculated")
    assert "max_new_tokens=2" in str(row["speedup_interval_basis"])
    assert row["gap_prefill_and_batching"] is None
