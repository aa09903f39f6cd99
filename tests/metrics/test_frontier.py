"""A curve of throughput against per-user speed, between and beyond its points."""

import pytest

from dspark_bench.metrics.frontier import throughput_at

SPEEDS, THROUGHPUTS = (100.0, 50.0, 200.0), (800.0, 1600.0, 200.0)


@pytest.mark.parametrize(("speed", "expected"), [(50.0, 1600.0), (75.0, 1200.0), (150.0, 500.0)])
def test_linear_between_points_in_any_order(speed: float, expected: float) -> None:
    assert throughput_at(SPEEDS, THROUGHPUTS, speed) == pytest.approx(expected)


def test_slower_users_are_served_at_least_as_the_slowest_measured() -> None:
    assert throughput_at(SPEEDS, THROUGHPUTS, 10.0) == 1600.0


def test_nothing_is_known_beyond_the_fastest() -> None:
    assert throughput_at(SPEEDS, THROUGHPUTS, 201.0) is None
