"""How well survival estimates are calibrated: ECE, AUC and Brier score, with n beside them.

A perfect calibrator does not read zero: with 15 bins about 3.4 % at n = 1,000 and 0.85 % at 20,000.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dspark_bench.metrics.sums import FloatArray, ratio

IntArray = npt.NDArray[np.int64]
NUM_BINS = 15
STAGES = {"before": "confidence", "after": "calibrated"}
"""Column of the cycles that holds the estimates, by stage."""
TABLE_COLUMNS = ("stage", "position", "bin", "count", "num_survived", "mean_predicted")


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
    gaps = np.bincount(_bins(predicted, num_bins), predicted - outcome, num_bins)
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


@dataclass(frozen=True, slots=True)
class Reliability:
    """The reliability diagram: per bin of `ece` the count, and the two means (NaN if empty)."""

    counts: tuple[int, ...]
    mean_predicted: tuple[float, ...]
    mean_observed: tuple[float, ...]


def reliability(
    predicted: FloatArray, outcome: FloatArray, num_bins: int = NUM_BINS
) -> Reliability:
    """What `ece` sums over, bin by bin."""
    bins = _bins(predicted, num_bins)
    counts = np.bincount(bins, minlength=num_bins).astype(np.int64)
    means = [
        ratio(np.bincount(bins, values, num_bins).astype(np.float64), counts.astype(np.float64))
        for values in (predicted, outcome)
    ]
    return Reliability(tuple(counts.tolist()), tuple(means[0].tolist()), tuple(means[1].tolist()))


def reliability_table(rows: pd.DataFrame, gamma: int) -> pd.DataFrame:
    """`reliability.csv`: the reliability diagrams of survival at every position, bins with trials.

    rows: see `collect_trials`. Columns: stage (`before` or `after` calibration), position, bin
    (of `NUM_BINS`), count, num_survived, mean_predicted (6 digits). Empty without confidences.
    """
    found = []
    for stage, column in STAGES.items():
        if column not in rows.columns:
            continue
        trials = collect_trials(rows, gamma, column)
        for position in range(1, gamma + 1):
            predicted, outcome = trials.pairs(position)
            diagram = reliability(predicted, outcome)
            survived = np.bincount(_bins(predicted, NUM_BINS), outcome, NUM_BINS)
            for place in np.flatnonzero(diagram.counts):
                mean = float(f"{diagram.mean_predicted[place]:.6g}")
                found.append(
                    (stage, position, place, diagram.counts[place], int(survived[place]), mean)
                )
    return pd.DataFrame(found, columns=list(TABLE_COLUMNS))


@dataclass(frozen=True, slots=True)
class Trials:
    """Draft cycles whose verify length looked at no token (`sums.trial_cycles`).

    confidence [n, K]: conditional acceptance estimates, NaN past a draft's end; verify_len [n];
    num_accepted [n].
    """

    confidence: FloatArray
    verify_len: IntArray
    num_accepted: IntArray

    @property
    def num_cycles(self) -> int:
        """n."""
        return len(self.confidence)

    @property
    def num_positions(self) -> int:
        """K."""
        return int(self.confidence.shape[1])

    def is_known(self, position: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """[n] Whether `position` (1-based) was verified and has a confidence, like all before it.

        Cycles that verified less (an end of sequence, a shorter draft) are censored.
        """
        has_all = ~np.isnan(self.confidence[:, :position]).any(axis=1)
        known: np.ndarray[tuple[int], np.dtype[np.bool_]] = (self.verify_len >= position) & has_all
        return known

    def outcome(self, position: int) -> FloatArray:
        """[n] 1 where the draft survived up to `position`."""
        return (self.num_accepted >= position).astype(np.float64)

    def pairs(self, position: int) -> tuple[FloatArray, FloatArray]:
        """Predicted survival at `position` and whether it happened, where that is known."""
        is_known = self.is_known(position)
        predicted = self.confidence[is_known, :position].prod(axis=1)
        return predicted, self.outcome(position)[is_known]

    def scores(self) -> list[Calibration]:
        """Scores of survival at positions 1 to K."""
        return [score(*self.pairs(place)) for place in range(1, self.num_positions + 1)]


def collect_trials(rows: pd.DataFrame, gamma: int, column: str = "confidence") -> Trials:
    """Trials of `gamma` positions from rows of cycles (`sums.trial_cycles`).

    column: where the estimates are, `confidence` or `calibrated`.
    """
    table = np.full((len(rows), gamma), np.nan)
    for place, values in enumerate(rows[column]):
        if values is not None:
            found = np.asarray(values, dtype=np.float64)[:gamma]
            table[place, : found.size] = found
    return Trials(
        table,
        rows["verify_len"].to_numpy(dtype=np.int64),
        rows["num_accepted"].to_numpy(dtype=np.int64),
    )


def survival_pairs(rows: pd.DataFrame, position: int) -> tuple[FloatArray, FloatArray]:
    """Predicted survival at `position` (1-based) and whether it happened, [n] each.

    rows: see `collect_trials`. Predicted: product of the first `position` confidences.
    """
    return collect_trials(rows, position).pairs(position)


def _bins(predicted: FloatArray, num_bins: int) -> IntArray:
    return np.minimum((predicted * num_bins).astype(np.int64), num_bins - 1)
