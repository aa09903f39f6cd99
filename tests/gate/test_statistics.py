"""Student's t against scipy, Holm by hand, and the bootstrap against the plain formula."""

import math

import numpy as np
import pytest
from scipy import stats

from dspark_bench.gate.statistics import (
    distance,
    holm,
    log_ratio_errors,
    lower_tail,
    quantile,
    resampling_weights,
)


@pytest.mark.parametrize("degrees", [19, 50, 191])
@pytest.mark.parametrize("value", [-6.0, -3.0, -1.0, 0.0, 2.0])
def test_tail_and_quantile_are_students(degrees: int, value: float) -> None:
    exact = stats.t.cdf(value, degrees)
    assert lower_tail(value, degrees) == pytest.approx(exact, rel=0.05, abs=1e-9)
    level = 0.95
    assert quantile(level, degrees) == pytest.approx(stats.t.ppf(level, degrees), rel=1e-3)


def test_holm_by_hand() -> None:
    # sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.5 x 1, and never falling
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_bootstrap_error_of_a_ratio_of_means() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(10, 2, 400), rng.normal(10, 2, 400)
    weights = resampling_weights(400, seed=0)
    error = log_ratio_errors((weights @ ours)[:, None], (weights @ theirs)[:, None])[0]
    assert error == pytest.approx(math.sqrt(2 * 0.04 / 400), rel=0.1)
    assert log_ratio_errors((weights @ ours)[:, None], (weights @ ours)[:, None])[0] == 0


def test_distance_from_the_margin() -> None:
    assert distance(math.log(0.98), 0.02, 0.01) == pytest.approx(0, abs=1e-12)
    assert distance(0.0, 0.02, 0.01) == pytest.approx(-math.log(0.98) / 0.01)
    assert distance(0.0, 0.02, 0.0) == math.inf
    assert distance(math.log(0.9), 0.02, 0.0) == -math.inf
