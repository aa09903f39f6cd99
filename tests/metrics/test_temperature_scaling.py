"""Sequential temperature scaling: by hand, and on heads that were bent on purpose."""

import numpy as np
import pytest

from dspark_bench.core.calibration import from_log_odds, log_odds, scale
from dspark_bench.metrics.calibration import Trials, auc
from dspark_bench.metrics.temperature_scaling import fit_temperature, fit_temperatures


def _decoded(truth: np.ndarray, seed: int = 0) -> np.ndarray:
    """Accepted length of each draft whose conditional acceptance is truth [n, K]."""
    holds = np.random.default_rng(seed).random(truth.shape) < truth
    accepted: np.ndarray = np.cumprod(holds, axis=1).sum(axis=1)
    return accepted


def _trials(shown: np.ndarray, accepted: np.ndarray) -> Trials:
    return Trials(shown, np.full(len(shown), shown.shape[1]), accepted)


def test_by_hand_one_position() -> None:
    # All predictions .9 (odds 9:1), of which 3 in 4 hold (3:1): 9^(1/T) = 3, so T = 2.
    outcome = np.array([1.0, 1.0, 1.0, 0.0] * 50)
    odds, before = np.full(200, np.log(9.0)), np.ones(200)
    assert fit_temperature(odds, before, outcome) == pytest.approx(2, rel=0.01)


def test_by_hand_two_positions() -> None:
    # Position 1: .9 shown, 3/4 true: T = 2. Position 2: .8 shown (4:1), 2 of 3 of those reached
    # (2:1) true: T = 2 again, fitted on the product: 3/4 * 2/3 = 1/2 survive.
    shown = np.tile([0.9, 0.8], (480, 1))
    accepted = np.array([0] * 120 + [1] * 120 + [2] * 240)
    found = fit_temperatures(_trials(shown, accepted))
    np.testing.assert_allclose(found, [2, 2], rtol=0.02)


def test_a_bent_head_is_recovered() -> None:
    rng = np.random.default_rng(3)
    truth = rng.beta(3, 1.2, (40_000, 4))
    bends = np.array([2.0, 0.5, 1.0, 3.0])
    shown = from_log_odds(log_odds(truth) * bends)
    trials = _trials(shown, _decoded(truth))
    found = fit_temperatures(trials)
    np.testing.assert_allclose(found, bends, rtol=0.12)
    fresh = _trials(shown, _decoded(truth, seed=9))
    after = Trials(scale(shown, np.array(found)), fresh.verify_len, fresh.num_accepted)
    assert fresh.scores()[3].ece > 0.04
    assert all(score.ece < 0.012 for score in after.scores())


def test_conditional_ranking_is_untouched() -> None:
    rng = np.random.default_rng(4)
    truth = rng.uniform(0.2, 0.95, (3000, 3))
    shown = from_log_odds(log_odds(truth) * 1.7)
    accepted = _decoded(truth)
    scaled = scale(shown, np.array(fit_temperatures(_trials(shown, accepted))))
    for place in range(3):
        reached = accepted >= place
        outcome = (accepted[reached] > place).astype(float)
        before, after = (auc(table[reached, place], outcome) for table in (shown, scaled))
        assert after == before


def test_temperatures_stay_on_the_grid() -> None:
    outcome = np.array([1.0, 0.0] * 100)
    for odds in (np.full(200, 5.0), np.full(200, 0.01)):
        found = fit_temperature(odds, np.ones(200), outcome)
        assert 0.1 <= found <= 10


def test_positions_without_outcomes_keep_temperature_1() -> None:
    rng = np.random.default_rng(5)
    shown = rng.uniform(0.3, 0.7, (500, 3))
    accepted = np.minimum(_decoded(shown), 1)
    assert fit_temperatures(_trials(shown, accepted))[1:] == (1.0, 1.0)


def test_censored_cycles_and_short_drafts_take_no_part() -> None:
    shown = np.tile([0.9, 0.8], (480, 1))
    accepted = np.array([0] * 120 + [1] * 120 + [2] * 240)
    ended = np.array([[0.9, 0.8]] * 50)  # an end of sequence accepted at 1: nothing known of 2
    short = np.array([[0.9, np.nan]] * 40)  # a draft of one: likewise
    trials = Trials(
        np.concatenate([shown, ended, short]),
        np.array([2] * 480 + [1] * 90),
        np.concatenate([accepted, np.ones(50, dtype=int), [1] * 10 + [0] * 30]),
    )
    assert trials.is_known(2).sum() == 480
    predicted, outcome = trials.pairs(2)
    np.testing.assert_allclose(predicted, 0.72)
    assert outcome.mean() == 0.5
    assert all(temperature > 0 for temperature in fit_temperatures(trials))
