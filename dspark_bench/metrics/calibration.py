"""How well survival estimates are calibrated: ECE, AUC and Brier score, with n beside them.

A perfect calibrator does not read zero: with 15 bins about 3.4 % at n = 1,000 and 0.85 % at 20,000.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dspark_bench.metrics.sums import FloatArray

NUM_BINS = 15


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores of predicted probabilities against outcomes; NaN where undefined."""

    ece: float
    auc: float
    brier: float
    n: int


def ece(predicted: FloatArray, outcome: FloatArray, num_bins: int = NUM_BINS) -> float:
    """Sum over equal-width bins of n_b/n * |mean(predicted) - mean(outcome)|; NaN for n = 0.

    predicted [n] in [0, 1]; outcome [n] of 0 and 1. Bin b holds [b/num_bins, (b+1)/num_bins), the
    last one 1.0 as well.
    """
    if predicted.size == 0:
        return float("nan")
    bins = np.minimum((predicted * num_bins).astype(np.int64), num_bins - 1)
    gaps = np.bincount(bins, predicted - outcome, num_bins)
    return float(np.abs(gaps).sum() / predicted.size)


def auc(predicted: FloatArray, outcome: FloatArray) -> float:
    """P(predicted of a 1 > predicted of a 0), a tie counting 1/2; NaN if one class is absent."""
    positives = float(outcome.sum())
    negatives = outcome.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, group, sizes = np.unique(predicted, return_inverse=True, return_counts=True)
    ranks = np.cumsum(sizes) - (sizes - 1) / 2
    rank_sum = float(ranks[group] @ outcome)
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def brier(predicted: FloatArray, outcome: FloatArray) -> float:
    """mean((predicted - outcome)^2); NaN for n = 0."""
    return float(((predicted - outcome) ** 2).mean()) if predicted.size else float("nan")


def score(predicted: FloatArray, outcome: FloatArray) -> Calibration:
    """All three scores and n."""
    return Calibration(
        ece(predicted, outcome), auc(predicted, outcome), brier(predicted, outcome), outcome.size
    )


def survival_pairs(rows: pd.DataFrame, position: int) -> tuple[FloatArray, FloatArray]:
    """Predicted survival at `position` (1-based) and whether it happened, [n] each.

    rows: decode cycles whose verify length looked at no token (`sums.trial_cycles`). Predicted:
    product of the first `position` confidences. Cycles that verified less, or whose drafter gave
    no confidence there, are censored and left out.
    """
    predicted, outcome = [], []
    columns = (rows["confidence"], rows["verify_len"], rows["num_accepted"])
    for confidence, length, accepted in zip(*columns, strict=True):
        if confidence is not None and length >= position and len(confidence) >= position:
            predicted.append(float(np.prod(np.asarray(confidence)[:position])))
            outcome.append(float(accepted >= position))
    return np.asarray(predicted, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
