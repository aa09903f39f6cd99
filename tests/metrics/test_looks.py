"""The level of several looks: Pocock's constants, and drawn sums that must stay within."""

from statistics import NormalDist

import numpy as np
import pytest

from dspark_bench.metrics.looks import level_at


@pytest.mark.parametrize(
    ("num_looks", "constant"), [(1, 1.960), (2, 2.178), (3, 2.289), (4, 2.361), (5, 2.413)]
)
def test_equal_steps_have_pococks_constants(num_looks: int, constant: float) -> None:
    """Jennison and Turnbull 2000, table 2.1."""
    units = tuple(range(10, 10 * num_looks + 1, 10))
    bound = NormalDist().inv_cdf((1 + level_at(units)) / 2)
    assert bound == pytest.approx(constant, abs=0.001)


def test_looks_that_share_their_data_cost_less() -> None:
    bonferroni = 1 - 0.05 / 3
    assert 0.95 < level_at((94, 95, 96)) < level_at((48, 72, 96)) < level_at((4, 40, 400))
    assert level_at((48, 72, 96)) < 0.976 < bonferroni
    assert level_at((48, 72, 96)) == pytest.approx(level_at((2, 3, 4)))


def test_all_looks_together_hold_in_95_percent() -> None:
    units = (6, 8, 10, 12)
    random = np.random.default_rng(0)
    sums = random.standard_normal((100_000, 12)).cumsum(axis=1)[:, np.array(units) - 1]
    bound = NormalDist().inv_cdf((1 + level_at(units)) / 2)
    held = (np.abs(sums) <= bound * np.sqrt(units)).all(axis=1)
    assert held.mean() == pytest.approx(0.95, abs=0.003)


@pytest.mark.parametrize("units", [(), (0, 4), (4, 4), (8, 6)])
def test_looks_that_do_not_rise_are_refused(units: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rising from 1 or more"):
        level_at(units)
