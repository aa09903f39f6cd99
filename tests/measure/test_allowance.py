"""A point's time limit counts its own turns alone."""

import pytest

from dspark_bench.core.errors import TimeLimitError
from dspark_bench.measure.allowance import Allowance


class _Now:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_only_time_at_work_counts() -> None:
    now = _Now()
    clock = Allowance(now, 5.0)
    for _ in range(2):
        with clock.at_work():
            now.s += 2.0
            assert clock() == now.s
        now.s += 100.0  # others are at work
        assert clock() == now.s
    with clock.at_work():
        now.s += 1.0
        clock()
        now.s += 0.5
        with pytest.raises(TimeLimitError, match=r"over its time limit: measure.time_limit_s is 5"):
            clock()


def test_without_a_limit_it_is_the_clock() -> None:
    now = _Now()
    clock = Allowance(now, None)
    with clock.at_work():
        now.s += 1e9
        assert clock() == 1e9
