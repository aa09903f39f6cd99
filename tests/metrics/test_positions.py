"""Curves by draft position, by hand."""

import math

import numpy as np
import pytest

from dspark_bench.metrics.positions import (
    Agreement,
    conditional_acceptance,
    count_positions,
    expected_acceptance,
    summarise_positions,
    survival,
)
from tests.metrics.records import drafted, numbered

NAN = float("nan")


def test_curves() -> None:
    # a = 3 of 3, 1 of 3 (refused at 2), 0 of 1 (refused at 1), EOS accepted at 2 of 3 (l = a = 2).
    rows = [
        drafted(3, 3),
        drafted(3, 1, True),
        drafted(1, 0, True),
        drafted(2, 2, num_drafted=3, num_emitted=2),
    ]
    counts = count_positions(numbered(rows), 4)
    # k=1: 3 accepted, 1 refused; k=2: 2 and 1; k=3: 1 and 0; k=4: nothing.
    np.testing.assert_allclose(conditional_acceptance(counts), [3 / 4, 2 / 3, 1, NAN])
    # l>=1: 4; l>=2: 3; l>=3: 2.
    np.testing.assert_allclose(survival(counts), [3 / 4, 2 / 3, 1 / 2, NAN])


def test_expected_acceptance_uses_reached_positions_only() -> None:
    rows = [
        drafted(3, 1, True, expected_acceptance=(0.9, 0.5, 0.1)),  # 3 was not reached
        drafted(3, 3, expected_acceptance=(0.7, 0.6, 0.8)),
        drafted(3, 0, True, expected_acceptance=np.array([0.2, 0.3, 0.4])),  # only 1 reached
    ]
    counts = count_positions(numbered(rows), 3)
    np.testing.assert_allclose(
        expected_acceptance(counts), [(0.9 + 0.7 + 0.2) / 3, (0.5 + 0.6) / 2, 0.8]
    )


def test_nothing_recorded_is_nan() -> None:
    counts = count_positions(numbered([drafted(2, 1, True, expected_acceptance=None)]), 2)
    assert np.isnan(expected_acceptance(counts)).all()
    assert count_positions(numbered([drafted(2, 1, True)]), 0).accepted.size == 0


def test_intervals_are_over_units_and_those_of_agreement_over_continuations() -> None:
    rows = [
        drafted(2, 2),
        drafted(2, 0, True),
        drafted(2, 2),
        drafted(2, 0, True),
    ]
    frame = numbered(rows)
    frame["unit"] = [0, 0, 1, 1]
    agreement = Agreement(np.array([[1.0, 0.5], [2.0, 1.0]]), np.array([1.0, 4.0]))
    found = summarise_positions(frame, 2, 2, agreement)
    # Both units hold one draft of two and one of none, so leaving one out changes no ratio: the
    # exact interval of 1 of 2, and of 2 of 2
    assert found.curves["conditional_acceptance"] == [0.5, 1.0]
    half, all_of_two = math.sqrt(1 - 0.025), math.sqrt(0.025)
    conditional, survival = (
        found.intervals[name] for name in ("conditional_acceptance", "survival")
    )
    assert conditional["low"] == pytest.approx([1 - half, all_of_two])
    assert conditional["high"] == pytest.approx([half, 1.0]) and conditional["n"] == 2
    assert survival["low"] == pytest.approx([1 - half] * 2)
    assert survival["high"] == pytest.approx([half] * 2)
    # 3 over 5 anchors
    assert found.curves["agreement"] == [0.6, 0.3]
    assert found.counts["agreement"] == [5.0, 5.0]
    known = found.intervals["agreement"]
    assert known["n"] == 2 and 0 < known["low"][0] < 0.6 < known["high"][0] < 1
    assert summarise_positions(frame, 2, 1, None).intervals == {}
