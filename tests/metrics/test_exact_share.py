"""Clopper and Pearson's interval against scipy's quantiles, and what it holds at the ends."""

import numpy as np
import pytest
from scipy import stats

from dspark_bench.metrics.exact_share import effective_units, exact_share


@pytest.mark.parametrize(("value", "num_units"), [(0.5, 6), (0.9, 40), (0.02, 96), (1 / 3, 7.3)])
def test_ends_are_quantiles_of_the_beta_distribution(value: float, num_units: float) -> None:
    found, missed = value * num_units, (1 - value) * num_units
    low, high = exact_share(value, num_units, 0.95)
    assert low == pytest.approx(stats.beta.ppf(0.025, found, missed + 1), rel=1e-6)
    assert high == pytest.approx(stats.beta.ppf(0.975, found + 1, missed), rel=1e-6)


@pytest.mark.parametrize("num_units", [1, 6, 100, 5000])
def test_none_and_all_have_bounds_in_closed_form(num_units: int) -> None:
    bound = 0.025 ** (1 / num_units)
    assert exact_share(1.0, num_units, 0.95) == (pytest.approx(bound), 1.0)
    assert exact_share(0.0, num_units, 0.95) == (0.0, pytest.approx(1 - bound))


def test_few_units_that_all_succeed_say_little() -> None:
    """Units that succeed whole or fail whole, so that trials within them add nothing."""
    random = np.random.default_rng(0)
    truth, num_units = 0.7, 8
    all_good = (random.random((20_000, num_units)) < truth).all(axis=1)
    low, _ = exact_share(1.0, num_units, 0.95)
    assert all_good.mean() > 0.05  # an interval of no width would be wrong so often
    assert low < truth


def test_unequal_units_count_for_fewer() -> None:
    assert effective_units(np.full(9, 3.0)) == pytest.approx(9)
    assert effective_units(np.array([9.0, 0, 0])) == pytest.approx(1)
    assert effective_units(np.array([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_units(np.zeros(3)) == 0
