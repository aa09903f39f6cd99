"""The rule that ends a measurement, by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import log_ratio_interval
from dspark_bench.metrics.looks import level_at
from dspark_bench.metrics.precision import (
    half_width,
    is_reached,
    plan_looks,
    units_needed,
)


def test_looks_are_few_even_and_none_comes_before_48_prompts() -> None:
    looks = plan_looks([12] * 8, True, 0.06)
    assert looks.rounds == (4, 6, 8)  # 48, 72, 96 prompts
    assert looks.share == pytest.approx(level_at((48, 72, 96)))
    assert plan_looks([12] * 5, True, 0.06).rounds == (4, 5)
    assert plan_looks([12, 12, 6], True, 0.06).rounds == (3,)  # all there is
    assert plan_looks([12, 12, 6], True, 0.06).share == pytest.approx(0.95)


def test_a_fine_precision_has_one_look_less_and_narrower_ones() -> None:
    looks = plan_looks([12] * 8, True, 0.05)
    assert looks.rounds == (6, 8)  # 72, 96 prompts
    assert looks.share == pytest.approx(level_at((72, 96)))
    assert looks.share < level_at((48, 72, 96))
    assert plan_looks([12] * 5, True, 0.05).rounds == (5,)


def test_looks_at_larger_batches_count_rounds() -> None:
    assert plan_looks([1] * 12, False, 0.05).rounds == (6, 8, 10, 12)
    assert plan_looks([1] * 7, False, 0.05).rounds == (6, 7)
    assert plan_looks([1] * 7, False, 0.05).share == pytest.approx(level_at((6, 7)))


def test_many_rounds_have_four_looks_by_equal_factors() -> None:
    assert plan_looks([12] * 32, True, 0.06).rounds == (4, 8, 16, 32)
    assert plan_looks([12] * 12, True, 0.06).rounds == (4, 6, 8, 12)


def test_no_round_is_refused() -> None:
    with pytest.raises(ValueError, match="round_units is empty"):
        plan_looks([], True, 0.05)


def test_the_half_width_is_that_of_the_farther_end() -> None:
    assert half_width(Interval(2.0, 1.9, 2.2, 48)) == pytest.approx(0.10)
    assert half_width(Interval(2.0, 1.6, 2.2, 48)) == pytest.approx(0.25)
    assert half_width(Interval(2.0, None, None, 1)) is None


def test_every_arm_must_be_narrow_enough() -> None:
    narrow, wide = Interval(1.5, 1.45, 1.55, 48), Interval(1.5, 1.3, 1.7, 48)
    assert is_reached([narrow, narrow], 0.05)
    assert not is_reached([narrow, wide], 0.05)
    assert not is_reached([narrow, Interval(1.5, None, None, 1)], 0.05)


def test_four_times_the_prompts_halve_an_interval() -> None:
    """Of many; of few, Student's quantile falls as well."""
    wide = Interval(1.5, 1.5 / 1.05**2, 1.5 * 1.05**2, 4800)
    narrow = Interval(1.5, 1.5 / 1.05, 1.5 * 1.05, 4800)
    assert units_needed([wide, narrow], 0.05) == pytest.approx(4 * 4800, rel=0.001)
    assert units_needed([narrow], 0.05) in (4800, 4801)  # rounding


@pytest.mark.parametrize("share", [0.95, 0.98])
def test_few_units_need_fewer_more_than_their_square(share: float) -> None:
    random = np.random.default_rng(0)
    table = np.ones((200, 4))
    table[:, 1] = np.exp(0.2 * random.standard_normal(200))
    some = log_ratio_interval(table[:8], share)
    needed = units_needed([some], 0.05, share)
    width = half_width(some)
    assert needed is not None and width is not None
    assert needed < 0.8 * 8 * (math.log1p(width) / math.log1p(0.05)) ** 2
    # the same scatter with so many units is just narrow enough
    error = math.log1p(width) / (9 / 8 * stats.t.ppf((1 + share) / 2, 7)) * math.sqrt(8)

    def reach(units: int) -> float:
        quantile = stats.t.ppf((1 + share) / 2, units - 1)
        return float((1 + 1 / units) * quantile * error / math.sqrt(units))

    assert reach(needed) <= math.log1p(0.05) < reach(needed - 1)


def test_an_interval_that_is_missing_tells_nothing() -> None:
    wide = Interval(1.5, 1.4, 1.6, 48)
    assert units_needed([wide, Interval(1.5, None, None, 1)], 0.05) is None
