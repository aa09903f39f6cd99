"""Temperature scaling works on log-odds."""

import numpy as np
import pytest

from dspark_bench.core.calibration import scale


def test_a_temperature_of_one_changes_nothing_and_two_halves_the_log_odds() -> None:
    found = scale(np.array([[0.8, 0.8]]), np.array([1.0, 2.0]))
    assert found[0, 0] == pytest.approx(0.8)
    assert found[0, 1] == pytest.approx(2 / 3)  # odds of 4 become odds of 2


def test_certainty_stays_finite_and_no_slots_stay_none() -> None:
    found = scale(np.array([[0.0, 1.0]]), np.array([0.5, 0.5]))
    assert 0 < found[0, 0] < 1e-6 and 1 - 1e-6 < found[0, 1] <= 1
    assert scale(np.empty((3, 0)), np.empty(0)).shape == (3, 0)
