"""A clock with a limit."""

import pytest

from dspark_bench.core.clock import limited
from dspark_bench.core.errors import TimeLimitError


def test_it_reads_as_the_clock_does_until_the_limit_is_over() -> None:
    times = iter([10.0, 11.0, 12.5, 12.6])
    clock = limited(lambda: next(times), left_s=2.5, limit_s=3.0)
    assert clock() == 11.0
    assert clock() == 12.5
    with pytest.raises(TimeLimitError, match=r"measure\.time_limit_s is 3"):
        clock()
