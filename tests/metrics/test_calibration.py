"""Calibration scores, by hand and at a known floor."""

import math

import numpy as np
import pytest

from dspark_bench.metrics.calibration import (
    auc,
    brier,
    ece,
    reliability,
    reliability_table,
    score,
    survival_pairs,
)
from tests.metrics.records import drafted, numbered


def test_ece() -> None:
    # Bins of width 1/15: .9 twice (one right: gap |1.8 - 1|), .1 once (wrong: gap .1); over 3.
    assert ece(np.array([0.9, 0.9, 0.1]), np.array([1.0, 0.0, 0.0])) == pytest.approx(0.9 / 3)
    assert ece(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0


def test_perfect_calibrator_reads_its_noise_floor() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.random(20_000)
    outcome = (rng.random(20_000) < predicted).astype(float)
    assert 0.004 < ece(predicted, outcome) < 0.013


def test_auc_counts_ties_half() -> None:
    # Pairs (1 against 0): .8 > .5, .8 > .2, .5 = .5, .5 > .2 -> 3.5 of 4
    predicted, outcome = np.array([0.8, 0.5, 0.5, 0.2]), np.array([1.0, 1.0, 0.0, 0.0])
    assert auc(predicted, outcome) == pytest.approx(3.5 / 4)
    assert math.isnan(auc(predicted, np.ones(4)))


def test_reliability_holds_what_ece_sums() -> None:
    found = reliability(np.array([0.9, 0.92, 0.1]), np.array([1.0, 0.0, 0.0]))
    assert (found.counts[1], found.counts[13], sum(found.counts)) == (1, 2, 3)
    assert found.mean_predicted[13] == pytest.approx(0.91)
    assert found.mean_observed[13] == 0.5
    assert math.isnan(found.mean_observed[0])


def test_the_reliability_table_has_bins_with_trials_only() -> None:
    after = {"calibrated": (0.5, 0.5)}
    rows = [
        drafted(2, 1, True, confidence=(0.9, 0.5), **after),
        drafted(2, 0, True, confidence=(0.92, 0.5), **after),
        drafted(1, 0, True, confidence=(0.1,), calibrated=(0.5,)),
    ]
    table = reliability_table(numbered(rows), 2)
    assert list(table.itertuples(index=False, name=None)) == [
        ("before", 1, 1, 1, 0, 0.1),
        ("before", 1, 13, 2, 1, 0.91),
        ("before", 2, 6, 2, 0, 0.455),  # 0.45 and 0.46; the third draft ended before
        ("after", 1, 7, 3, 1, 0.5),
        ("after", 2, 3, 2, 0, 0.25),
    ]
    assert reliability_table(numbered([drafted(2, 0, True)]), 2).empty


def test_brier_and_empty_case() -> None:
    assert brier(np.array([0.8, 0.4]), np.array([1.0, 0.0])) == pytest.approx((0.04 + 0.16) / 2)
    empty = score(np.array([]), np.array([]))
    assert empty.n == 0
    assert math.isnan(empty.ece)
    assert math.isnan(empty.brier)


def test_survival_pairs_leave_censored_cycles_out() -> None:
    rows = [
        drafted(3, 2, True, confidence=(0.9, 0.5, 0.4)),
        drafted(1, 1, num_drafted=3, confidence=(0.9, 0.5, 0.4)),  # 2 was not verified
        drafted(3, 0, True, confidence=np.array([0.2, 0.5, 0.4])),
        drafted(3, 0, True),  # no confidence head
    ]
    predicted, outcome = survival_pairs(numbered(rows), 2)
    np.testing.assert_allclose(predicted, [0.45, 0.1])
    np.testing.assert_allclose(outcome, [1, 0])
