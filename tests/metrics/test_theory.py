"""Limits of the formula, and the model by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspark_bench.metrics.theory import (
    CostProfile,
    expected_emitted,
    geometric_sum,
    speedup_model,
    speedup_theory,
)


def test_limits() -> None:
    assert speedup_theory(0.0, 4, 0.0) == 1
    assert speedup_theory(0.0, 4, 0.25) == pytest.approx(1 / 2)
    assert speedup_theory(1.0, 4, 0.25) == pytest.approx(5 / 2)
    assert speedup_theory(1.0, 7, 0.0) == 8


@given(st.floats(0, 0.999), st.integers(1, 16), st.floats(0, 2))
def test_equals_the_closed_form(alpha: float, gamma: int, cost: float) -> None:
    closed = (1 - alpha ** (gamma + 1)) / ((1 - alpha) * (gamma * cost + 1))
    assert speedup_theory(alpha, gamma, cost) == pytest.approx(closed, rel=1e-9)


def test_works_on_arrays() -> None:
    alphas = np.array([0.0, 0.5, 1.0, np.nan])
    np.testing.assert_allclose(geometric_sum(alphas, 2), [1, 1.75, 3, np.nan])


def test_gamma_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="gamma is 0"):
        speedup_theory(0.5, 0, 0.1)


def test_expected_emitted() -> None:
    assert expected_emitted((0.8, 0.5, 0.25), 2) == pytest.approx(2.3)
    with pytest.raises(ValueError, match="needed: gamma = 4"):
        expected_emitted((0.8,), 4)


def test_model() -> None:
    profile = CostProfile(
        step_s=1.0,
        verify_s=(1.0, 1.1, 1.2),
        draft_s=(0.0, 0.2, 0.3),
        overhead_s=(0.0, 0.1, 0.1),
        prefill_s=2.0,
        draft_prefill_s=0.5,
    )
    # E = 1 + .8 + .7 = 2.5; n - 1 = 10: 4 cycles of 1.6 s. (2 + 10) / (2 + .5 + 6.4)
    assert speedup_model(profile, (0.8, 0.7), 2, 11) == pytest.approx(12 / 8.9)
    with pytest.raises(ValueError, match=r"0\.\.2"):
        speedup_model(profile, (0.8, 0.7, 0.6), 3, 11)
