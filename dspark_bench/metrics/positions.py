"""Acceptance by draft position k = 1..gamma. Index 0 of every array is position 1.

Curves that condition on the past look at survivors, which are the easy contexts; `agreement`
(measured along recorded continuations elsewhere) is the uncensored one to judge drafters by.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dspark_bench.metrics.sums import FloatArray, ratio


@dataclass(frozen=True, slots=True)
class PositionCounts:
    """Counts [gamma] over decode cycles.

    verified: #(l >= k); accepted: #(a >= k); rejected: #(is_rejected and a = k-1);
    overlaps, num_overlaps: sum and number of sum_v min(target_probs, draft_probs) at reached k.
    """

    verified: FloatArray
    accepted: FloatArray
    rejected: FloatArray
    overlaps: FloatArray
    num_overlaps: FloatArray


def count_positions(rows: pd.DataFrame, gamma: int) -> PositionCounts:
    """Count decode cycles (`frames.decode_cycles`) by position."""
    verify_len = rows["verify_len"].to_numpy(dtype=np.int64)
    accepted = rows["num_accepted"].to_numpy(dtype=np.int64)
    is_rejected = rows["is_rejected"].to_numpy(dtype=bool)
    places = np.arange(1, gamma + 1)
    overlaps, num_overlaps = _sum_overlaps(rows, np.minimum(verify_len, accepted + 1), gamma)
    return PositionCounts(
        verified=(verify_len[:, None] >= places).sum(axis=0).astype(np.float64),
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
