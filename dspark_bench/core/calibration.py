"""How confidences are bent into probabilities that hold, and what a stored calibration is.

Shared by whoever fits a calibration and whoever applies one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from dspark_bench.core.random_streams import Floats

CLOSEST_TO_CERTAIN: Final = 1e-6
"""Confidences are kept this far from 0 and 1, where log-odds are infinite."""


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """One temperature per draft position, as fitted for one target, drafter and sampling.

    temperatures [K], above 0, of positions 1 to K.
    """

    temperatures: tuple[float, ...]


def log_odds(probs: Floats) -> Floats:
    """log(p / (1 - p)) of probabilities of any shape, finite even at 0 and 1."""
    kept = np.minimum(np.maximum(probs, CLOSEST_TO_CERTAIN), 1 - CLOSEST_TO_CERTAIN)
    odds: Floats = np.log(kept / (1 - kept))
    return odds


def from_log_odds(odds: Floats) -> Floats:
    """1 / (1 + exp(-z)) of log-odds of any shape."""
    probs: Floats = 1 / (1 + np.exp(-odds))
    return probs


def scale(confidence: Floats, temperatures: Floats) -> Floats:
    """sigma(logit(c_k) / T_k). confidence [n, K], temperatures [K] -> [n, K]."""
    return from_log_odds(log_odds(confidence) / temperatures)
