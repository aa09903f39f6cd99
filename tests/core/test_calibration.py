"""Temperature scaling of few values, by plain numbers, is that of many, by arrays."""

import numpy as np
import pytest

from dspark_bench.core.calibration import FEW, scale


def test_few_values_are_scaled_like_many() -> None:
    rng = np.random.default_rng(0)
    many = np.concatenate([rng.random((40, 7)), np.array([[0.0, 1.0, 0.5, 1e-9, 0.999, 0.2, 0.8]])])
    temperatures = np.array([0.5, 1.0, 2.0, 0.3, 1.5, 0.01, 1e-4])
    with np.errstate(over="ignore"):
        expected = scale(many, temperatures)
    few = np.concatenate([scale(row[None], temperatures) for row in many])
    assert many.size > FEW >= many.shape[1]
    np.testing.assert_allclose(few, expected, rtol=1e-12, atol=1e-300)


def test_a_temperature_of_one_changes_nothing_and_two_halves_the_log_odds() -> None:
    found = scale(np.array([[0.8, 0.8]]), np.array([1.0, 2.0]))
    assert found[0, 0] == pytest.approx(0.8)
    assert found[0, 1] == pytest.approx(2 / 3)  # odds of 4 become odds of 2


def test_no_slots_stay_none() -> None:
    assert scale(np.empty((3, 0)), np.empty(0)).shape == (3, 0)
