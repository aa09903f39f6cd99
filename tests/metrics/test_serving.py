"""Queue depth, machine load and what was not served, by hand."""

import math

import pytest

from dspark_bench.metrics.serving import CURVE_POINTS, machine_values, queue_curves
from tests.metrics.records import cycle, numbered


def test_queue_depth_is_weighted_by_time() -> None:
    rows = [
        cycle(num_waiting=0, t_verify_s=1.0),
        cycle(num_waiting=5, t_verify_s=3.0, started_s=1.0, cpu_busy=0.5),
        cycle(num_waiting=9, t_verify_s=1.0, started_s=4.0, cpu_busy=0.9),
        cycle(num_waiting=99, is_warmup=True),
        cycle(arm="baseline", num_waiting=2),
    ]
    values = machine_values(numbered(rows))
    assert (values["queue_p50"], values["queue_max"]) == (5, 9)
    assert (values["baseline_queue_p50"], values["baseline_queue_max"]) == (2, 2)
    assert values["cpu_busy"] == pytest.approx((3 * 0.5 + 0.9) / 4)


def test_nothing_is_nan() -> None:
    values = machine_values(numbered([cycle(), cycle(is_warmup=True)]))
    assert math.isnan(values["cpu_busy"])
    assert math.isnan(values["baseline_queue_max"])
    assert queue_curves(numbered([cycle(is_warmup=True)])) == {}


def test_the_queue_over_time_is_a_mean_over_turns() -> None:
    rows = [
        cycle(num_waiting=4, t_verify_s=5.0, started_s=0.0),
        cycle(num_waiting=2, t_verify_s=5.0, started_s=5.0),
        cycle(num_waiting=6, t_verify_s=5.0, started_s=0.0, repeat=1),  # over at 5 s
    ]
    curves = queue_curves(numbered(rows))
    assert len(curves["time_s"]) == len(curves["speculative"]) == CURVE_POINTS
    assert curves["time_s"][-1] == 10.0
    assert curves["baseline"] == []
    found = [curves["speculative"][place] for place in (0, 30, 70, 100)]
    assert found == [5.0, 5.0, 1.0, 1.0]
