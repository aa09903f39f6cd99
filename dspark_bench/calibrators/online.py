"""`online`: learns during the run which confidences hold, position by position.

Logistic regression on the log-odds of the raw confidence, one slope and one intercept per position:
logit(p_k) = s_k * logit(c_k) + b_k. It learns from *reached* positions alone (all earlier drafts
accepted, this one decided), because c_k is conditional on that: a slot behind a rejection says
nothing. Neither does a slot behind an end-of-sequence token or a length limit, which are no
rejections. A verify length that looked at c_k does no harm, because c_k is what it regresses on.

A Gaussian prior holds it at the identity until there is data, so a cold start changes nothing. Not
from the paper; the idea is that of vLLM's acceptance estimator (PR 52228) and of ds41rt.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final

import numpy as np

from dspark_bench.core.calibration import StoredCalibration, from_log_odds, log_odds
from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord

SLOPE_BOUNDS: Final = (0.2, 5.0)
INTERCEPT_BOUND: Final = 3.0
_NUM_BINS = 32
_WIDEST_ODDS = 8.0
_LARGEST_STEP = 0.5
_NUM_STEPS = 2
_INFORMATION = 0.25  # most that one trial tells about an intercept: p (1 - p)


class OnlineCalibrator:
    """Keeps counts by position and bin of log-odds, so its cost does not grow with the run."""

    def __init__(
        self,
        gamma: int,
        stored: StoredCalibration | None,
        damping: float = 50.0,
        memory: float = 5000.0,
        refit_cycles: int = 16,
    ) -> None:
        """Starts as the identity, whatever is stored.

        damping: trials of a position at which data and identity weigh alike; memory: trials of a
        position that are remembered, older ones fading; refit_cycles: cycles between refits.
        Raises UsageError for values outside of their ranges.
        """
        _check("damping", damping, damping > 0, "above 0")
        _check("memory", memory, memory >= 1, "1 or more")
        _check("refit_cycles", refit_cycles, refit_cycles >= 1, "1 or more")
        self._precision = damping * _INFORMATION
        self._memory = memory
        self._refit_cycles = refit_cycles
        self._num_cycles = 0
        self._slopes, self._intercepts = np.ones(gamma), np.zeros(gamma)
        # [3, gamma, bins]: trials, acceptances, sum of log-odds.
        self._counts = np.zeros((3, gamma, _NUM_BINS))
        self._noted: list[CycleRecord] = []

    def calibrate(self, confidence: Floats) -> Floats:
        """confidence [B, K] -> [B, K]; K at most gamma."""
        width = confidence.shape[1]
        odds = log_odds(confidence)
        return from_log_odds(odds * self._slopes[:width] + self._intercepts[:width])

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Note the reached positions; refit every `refit_cycles` calls."""
        self._noted += records
        self._num_cycles += 1
        if self._num_cycles % self._refit_cycles == 0:
            drafted = [record for record in self._noted if record.confidence]
            self._noted = []
            if drafted:
                self._digest(drafted)
                self._refit()

    def _digest(self, records: Sequence[CycleRecord]) -> None:
        """Add reached positions to the counts, and let old trials fade."""
        accepted_lens = np.array([record.num_accepted for record in records], dtype=np.int64)
        decided = accepted_lens + np.array([record.is_rejected for record in records])
        reached = [r.confidence[:n] for r, n in zip(records, decided.tolist(), strict=True)]
        odds = log_odds(np.fromiter(chain.from_iterable(reached), np.float64))
        starts = np.repeat(np.cumsum(decided) - decided, decided)
        position = np.arange(starts.size) - starts
        accepted = position < np.repeat(accepted_lens, decided)
        bins = ((odds / _WIDEST_ODDS + 1) * (_NUM_BINS / 2)).astype(np.int64)
        cell = position * _NUM_BINS + np.clip(bins, 0, _NUM_BINS - 1)
        shape = self._counts.shape[1:]
        for place, weights in enumerate((None, accepted, odds)):
            added = np.bincount(cell, weights, minlength=shape[0] * shape[1])
            self._counts[place] += added.reshape(shape)
        trials = self._counts[0].sum(axis=1)
        self._counts *= np.minimum(1.0, self._memory / np.maximum(trials, 1))[:, None]

    def _refit(self) -> None:
        """A few bounded Newton steps towards the posterior mode, all positions at once."""
        trials, accepted, sums = self._counts
        odds = sums / np.maximum(trials, 1e-12)
        slopes, intercepts = self._slopes, self._intercepts
        for _ in range(_NUM_STEPS):
            probs = from_log_odds(odds * slopes[:, None] + intercepts[:, None])
            error = trials * probs - accepted
            weight = trials * probs * (1 - probs)
            slope_gradient = (error * odds).sum(axis=1) + self._precision * (slopes - 1)
            gradient = error.sum(axis=1) + self._precision * intercepts
            cross = (weight * odds).sum(axis=1)
            slope_curve = (weight * odds * odds).sum(axis=1) + self._precision
            curve = weight.sum(axis=1) + self._precision
            determinant = slope_curve * curve - cross * cross
            slope_step = (curve * slope_gradient - cross * gradient) / determinant
            step = (slope_curve * gradient - cross * slope_gradient) / determinant
            slopes = np.clip(slopes - _bounded(slope_step), *SLOPE_BOUNDS)
            intercepts = np.clip(intercepts - _bounded(step), -INTERCEPT_BOUND, INTERCEPT_BOUND)
        self._slopes, self._intercepts = slopes, intercepts


def _bounded(step: Floats) -> Floats:
    return np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)


def _check(key: str, value: float, is_valid: bool, valid: str) -> None:
    if not is_valid:
        raise UsageError(f"calibrator.{key} is {value}; valid: {valid}")
