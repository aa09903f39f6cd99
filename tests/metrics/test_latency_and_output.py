"""Waiting times and degenerate output, by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics.latency import e2e_s, percentile, tpot_s, ttft_s, user_rates
from dspark_bench.metrics.output import degenerate_share
from tests.metrics.records import request


def test_latencies_count_from_the_scheduled_arrival() -> None:
    rows = pd.DataFrame(
        [
            request(scheduled_s=0.5, admitted_s=0.9, first_token_s=1.0, finished_s=3.0),
            request(output_tokens=(7,), first_token_s=2.0, finished_s=2.0),
        ]
    )
    np.testing.assert_allclose(ttft_s(rows), [0.5, 2.0])
    np.testing.assert_allclose(e2e_s(rows), [2.5, 2.0])
    np.testing.assert_allclose(tpot_s(rows), [1.0])  # 2 s for 2 tokens; one token has none
    np.testing.assert_allclose(user_rates(rows), [1.0, 0.0])
    assert percentile(ttft_s(rows), 50) == pytest.approx(1.25)


def test_degenerate_share() -> None:
    rows = pd.DataFrame(
        [
            request(output_tokens=(1, *[5] * 8, 2)),  # 8 of 10
            request(output_tokens=[5] * 7 + [6] * 3),  # runs too short
        ]
    )
    assert degenerate_share(rows) == pytest.approx(8 / 20)


def test_nothing_is_nan() -> None:
    rows = pd.DataFrame([request(output_tokens=(7,))])
    assert math.isnan(percentile(tpot_s(rows), 99))
    assert math.isnan(degenerate_share(rows.iloc[:0]))
