"""What others kept busy is what neither workers nor bench did."""

import pytest

from dspark_bench.evidence.peers.block import Spent, others_cores
from dspark_bench.metrics.machine import Reading


def spent(time_s: float, own_s: float, busy_s: float | None, workers_s: float) -> Spent:
    return Spent(Reading(time_s, own_s, busy_s), workers_s)


def test_cores_of_others() -> None:
    before = spent(10.0, 1.0, 100.0, 5.0)
    assert others_cores(before, spent(20.0, 2.0, 125.0, 14.0)) == pytest.approx(1.5)
    assert others_cores(before, spent(20.0, 2.0, 109.9, 14.0)) == 0.0  # counted in ticks
    assert others_cores(before, spent(20.0, 2.0, None, 14.0)) is None
