"""Which draft positions of a batch to verify, given their survival and what a step costs.

Pure functions over survival a [B, K] (a_k: probability that drafts 1..k all pass) and the draft
length of each request. Candidates are ranked by survival; equal ones by position, then by request,
so that no token's value ever decides. Survival never rises along a request, hence whatever is
admitted is a prefix of every draft.

Throughput after admitting n candidates: Theta(n) = (B + sum of their survivals) / step_s(B + n)
(DSpark, Algorithm 1). B may count requests that have no draft to be ranked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEW = 3
"""Requests up to which plain numbers are faster than arrays."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Draft positions in order of admission.

    requests, places (0 is the first draft), survival [n]; num_drafted: requests that are ranked.
    """

    requests: IntArray
    places: IntArray
    survival: FloatArray
    num_drafted: int

    def lengths(self, count: int) -> list[int]:
        """Verify length of each request when the first `count` candidates are admitted."""
        counts: list[int] = np.bincount(self.requests[:count], minlength=self.num_drafted).tolist()
        return counts

    def throughput(self, num_requests: int, step_s: FloatArray) -> FloatArray:
        """Theta(0..n) [n + 1], expected tokens per second; every request emits one anyway."""
        expected = num_requests + np.concatenate([[0.0], np.cumsum(self.survival)])
        return np.asarray(expected / step_s)


def rank(survival: FloatArray, draft_lens: Sequence[int]) -> Candidates:
    """Candidates of survival [B, K]; positions past a request's draft are left out.

    A survival that rises along a draft (rounding) is clipped to the one before.
    """
    falling = np.minimum.accumulate(np.asarray(survival, dtype=np.float64), axis=1)
    lens = np.asarray(draft_lens)
    requests, places = np.nonzero(np.arange(falling.shape[1]) < lens[:, None])
    values = falling[requests, places]
    order = np.lexsort((requests, places, -values))
    return Candidates(requests[order], places[order], values[order], len(draft_lens))


def causal_greedy(
    survival: FloatArray, draft_lens: Sequence[int], num_requests: int, step_s: FloatArray
) -> list[int]:
    """Algorithm 1: admit while throughput rises, stop at the first candidate that does not.

    step_s [n + 1]: seconds of the cycle with 0..n drafts admitted. Whether a position is admitted
    depends on candidates ranked above it alone, so on no later token of its own request:
    non-anticipating. Optimal where throughput has a single peak.
    """
    if len(draft_lens) <= FEW:
        return _few_drafts(survival.tolist(), draft_lens, num_requests, step_s.tolist())
    candidates = rank(survival, draft_lens)
    theta = candidates.throughput(num_requests, step_s)
    falls = np.flatnonzero(theta[1:] <= theta[:-1])
    return candidates.lengths(int(falls[0]) if falls.size else theta.size - 1)


def _few_drafts(
    survival: Sequence[Sequence[float]],
    draft_lens: Sequence[int],
    num_requests: int,
    step_s: Sequence[float],
) -> list[int]:
    """The same by merging the drafts head by head: no arrays, because between two passes of a
    model they take longer than so little work.
    """
    lens = [0] * len(draft_lens)
    lowest = [1.0] * len(draft_lens)
    expected = float(num_requests)
    before = expected / step_s[0]
    for count in range(1, sum(draft_lens) + 1):
        best, chosen = -1.0, -1
        for request, (place, length) in enumerate(zip(lens, draft_lens, strict=True)):
            if place < length:
                value = min(lowest[request], survival[request][place])
                if value > best or (value == best and place < lens[chosen]):
                    best, chosen = value, request
        expected += best
        theta = expected / step_s[count]
        if theta <= before:
            break
        before, lowest[chosen] = theta, best
        lens[chosen] += 1
    return lens


def global_best(
    survival: FloatArray, draft_lens: Sequence[int], num_requests: int, step_s: FloatArray
) -> list[int]:
    """The prefix of the ranking with the highest throughput anywhere (the shortest of equals).

    Retrospective: a far candidate can decide about near ones, so with confidences of the same
    cycle the output is biased. Safe on confidences of earlier cycles, as a capacity.
    """
    candidates = rank(survival, draft_lens)
    return candidates.lengths(best_count(candidates, num_requests, step_s))


def best_count(candidates: Candidates, num_requests: int, step_s: FloatArray) -> int:
    """How many candidates `global_best` admits."""
    return int(np.argmax(candidates.throughput(num_requests, step_s)))


def top(survival: FloatArray, draft_lens: Sequence[int], capacity: int) -> list[int]:
    """Admit the `capacity` best candidates. Non-anticipating for a capacity fixed beforehand."""
    return rank(survival, draft_lens).lengths(max(0, capacity))
