"""The figures that a gate compares, from counts or from expected acceptance.

Expected acceptance (sum of min of the two distributions) has the same expectation as counts and
less noise; a pooled survival is the product of conditional acceptances, so every count figure has a
twin made of it.
"""

from typing import Final, Literal

import numpy as np

from dspark_bench.gate.counts import Counts
from dspark_bench.metrics.sums import FloatArray, ratio

Evidence = Literal["expected", "counts"]
AGGREGATES: Final = ("accepted_length", "acceptance_rate", "alpha")


def estimate(counts: Counts, evidence: Evidence, is_replay: bool) -> FloatArray:
    """[..., 3 + K]: accepted length, acceptance rate, alpha, then acceptance by position.

    From counts, a position is #(a>=k)/(#(a>=k) + #(rejected at k)). From expected acceptance it is
    the mean overlap over reached cycles, and along a record (`is_replay`) over every verified one:
    there the drafter meets the target's own text behind its refused tokens as well. NaN where
    nothing was decided.
    """
    if evidence == "counts":
        accepted, rejected = counts.accepted.sum(-1), counts.rejected.sum(-1)
        aggregates = (
            1 + ratio(accepted, counts.cycles),
            ratio(accepted, counts.verified.sum(-1)),
            ratio(accepted, accepted + rejected),
        )
        by_position = ratio(counts.accepted, counts.accepted + counts.rejected)
        return _joined(aggregates, by_position)
    conditional = ratio(counts.overlaps, counts.reached)
    survival = np.cumprod(np.nan_to_num(conditional), axis=-1)
    share = ratio(counts.verified, counts.cycles[..., None])
    accepted = (survival * share).sum(-1)
    lost = accepted + 1 - survival[..., -1]
    aggregates = (1 + accepted, ratio(accepted, share.sum(-1)), ratio(accepted, lost))
    if is_replay:
        return _joined(aggregates, ratio(counts.all_overlaps, counts.verified))
    return _joined(aggregates, conditional)


def trials(counts: Counts, evidence: Evidence, is_replay: bool) -> FloatArray:
    """[K]: on how many cycles each position of `estimate` rests."""
    if evidence == "counts":
        return counts.accepted + counts.rejected
    return counts.verified if is_replay else counts.reached


def has_overlaps(counts: Counts) -> bool:
    """Whether expected acceptance is on record for every position that was decided."""
    decided = (counts.accepted + counts.rejected).sum()
    return bool(decided > 0 and counts.reached.sum() >= decided)


def _joined(aggregates: tuple[FloatArray, ...], by_position: FloatArray) -> FloatArray:
    return np.concatenate([np.stack(aggregates, axis=-1), by_position], axis=-1)
