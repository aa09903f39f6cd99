"""Acceptance by draft position k = 1..gamma. Index 0 of every array is position 1.

Curves that condition on the past look at survivors, which are the easy contexts; `agreement`
(measured along recorded continuations elsewhere) is the uncensored one to judge drafters by.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from dspark_bench.metrics.frames import cycle_depths
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.jackknife import share_intervals
from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.metrics.strata import IntArray
from dspark_bench.metrics.sums import FloatArray, ratio


@dataclass(frozen=True, slots=True)
class PositionCounts:
    """Counts [gamma] over decode cycles. Of a tree k is a depth, and l the depth of its deepest
    verified node.

    verified: #(l >= k); accepted: #(a >= k); rejected: #(is_rejected and a = k-1);
    overlaps, num_overlaps: sum and number of sum_v min(target_probs, draft_probs) at reached k.
    """

    verified: FloatArray
    accepted: FloatArray
    rejected: FloatArray
    overlaps: FloatArray
    num_overlaps: FloatArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """Target against drafter along recorded continuations, R of them.

    overlaps [R, gamma]: sum over anchors of sum_v min(target_probs, draft_probs); anchors [R]: how
    many anchors each continuation had.
    """

    overlaps: FloatArray
    anchors: FloatArray

    def mean(self) -> FloatArray:
        """[gamma] 1 - TV over all anchors; NaN without one."""
        total = np.full(self.overlaps.shape[1], float(self.anchors.sum()))
        return ratio(self.overlaps.sum(axis=0), total)

    def intervals(self) -> list[Interval]:
        """The same with 95 % intervals over continuations."""
        anchors = np.broadcast_to(self.anchors[:, None], self.overlaps.shape)
        return share_intervals(self.overlaps, anchors)


@dataclass(frozen=True, slots=True)
class PositionSummary:
    """Curves [gamma] by name, with what they rest on; None where a position has no figure.

    intervals: `low` and `high` [gamma] and `n` resampling units, where there is more than one;
    counts: `PositionCounts`, and the anchors behind `agreement`.
    """

    curves: dict[str, list[float | None]]
    intervals: dict[str, dict[str, object]]
    counts: dict[str, list[float]]


def count_positions(rows: pd.DataFrame, gamma: int) -> PositionCounts:
    """Count decode cycles (`frames.decode_cycles`) by position."""
    depths = cycle_depths(rows)
    accepted = rows["num_accepted"].to_numpy(dtype=np.int64)
    is_rejected = rows["is_rejected"].to_numpy(dtype=bool)
    places = np.arange(1, gamma + 1)
    overlaps, num_overlaps = _sum_overlaps(rows, np.minimum(depths, accepted + 1), gamma)
    return PositionCounts(
        verified=(depths[:, None] >= places).sum(axis=0).astype(np.float64),
        accepted=(accepted[:, None] >= places).sum(axis=0).astype(np.float64),
        rejected=(accepted[is_rejected, None] == places - 1).sum(axis=0).astype(np.float64),
        overlaps=overlaps,
        num_overlaps=num_overlaps,
    )


def conditional_acceptance(counts: PositionCounts) -> FloatArray:
    """[gamma] #(a>=k)/(#(a>=k) + #(is_rejected and a=k-1)); NaN where k was never decided."""
    return ratio(counts.accepted, counts.accepted + counts.rejected)


def expected_acceptance(counts: PositionCounts) -> FloatArray:
    """[gamma] mean over reached positions of sum_v min(target_probs, draft_probs).

    Same expectation as `conditional_acceptance`, less noise. Reached: k <= a+1 and k <= l. NaN
    where nothing was recorded (greedy runs record nothing).
    """
    return ratio(counts.overlaps, counts.num_overlaps)


def survival(counts: PositionCounts) -> FloatArray:
    """[gamma] #(a>=k)/#(l>=k); NaN where no cycle verified k."""
    return ratio(counts.accepted, counts.verified)


def _sum_overlaps(
    rows: pd.DataFrame, reached: "np.ndarray[tuple[int], np.dtype[np.int64]]", gamma: int
) -> tuple[FloatArray, FloatArray]:
    sums, counts = np.zeros(gamma), np.zeros(gamma)
    if "expected_acceptance" not in rows.columns:
        return sums, counts
    for recorded, limit in zip(rows["expected_acceptance"], reached, strict=True):
        values = np.asarray(() if recorded is None else recorded, dtype=np.float64)
        values = values[: min(int(limit), gamma)]
        sums[: values.size] += values
        counts[: values.size] += 1
    return sums, counts


def summarise_positions(
    rows: pd.DataFrame,
    gamma: int,
    num_units: int,
    agreement: Agreement | None,
    strata: IntArray | None = None,
    share: float = SHARE,
) -> PositionSummary:
    """Everything about acceptance by position.

    rows: decode cycles that may speak about the drafter, labelled by `unit` in [0, num_units);
    strata [num_units]: the units' domains, if they have several; share: what the intervals are to
    cover, but for the agreement's, whose continuations no look chooses.
    """
    total = count_positions(rows, gamma)
    curves = {
        "conditional_acceptance": conditional_acceptance(total),
        "expected_acceptance": expected_acceptance(total),
        "survival": survival(total),
        "agreement": np.zeros(0) if agreement is None else agreement.mean(),
    }
    counts = {name: list(map(float, values)) for name, values in asdict(total).items()}
    if agreement is not None:
        counts["agreement"] = [float(agreement.anchors.sum())] * gamma
    return PositionSummary(
        {
            name: [None if np.isnan(v) else float(v) for v in values]
            for name, values in curves.items()
        },
        _intervals(rows, gamma, num_units, agreement, strata, share),
        counts,
    )


def _intervals(
    rows: pd.DataFrame,
    gamma: int,
    num_units: int,
    agreement: Agreement | None,
    strata: IntArray | None,
    share: float,
) -> dict[str, dict[str, object]]:
    found: dict[str, list[Interval]] = {}
    if num_units > 1 and gamma > 0:
        units = [count_positions(rows[rows["unit"] == unit], gamma) for unit in range(num_units)]
        accepted = np.stack([unit.accepted for unit in units])
        decided = accepted + np.stack([unit.rejected for unit in units])
        verified = np.stack([unit.verified for unit in units])
        found["conditional_acceptance"] = share_intervals(accepted, decided, strata, share)
        found["survival"] = share_intervals(accepted, verified, strata, share)
    if agreement is not None:
        found["agreement"] = agreement.intervals()
    return {
        name: {
            "low": [figure.low for figure in figures],
            "high": [figure.high for figure in figures],
            "n": figures[0].n,
        }
        for name, figures in found.items()
    }
