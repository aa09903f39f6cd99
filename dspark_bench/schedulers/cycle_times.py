"""How long a cycle takes by what is drafted and verified; computed once while the cost stays."""

from collections.abc import Callable, Sequence

import numpy as np

from dspark_bench.core.protocols import StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext

MOST_KNOWN = 4096
TIME_MEMORY = 0.98
"""Share of a smoothed time that a new cycle leaves."""


class VerifyTimes:
    """Seconds of a cycle by the number of drafts verified, the drafts being made."""

    def __init__(self, cost: StepCost, is_convex: bool) -> None:
        self._cost = cost
        self._step_s = cost.convex_step_s if is_convex else cost.step_s
        self._kept = _Kept(cost)

    def of(self, context: PlanContext, draft_lens: Sequence[int]) -> Floats:
        """[n + 1] for 0..n of the n drafts at hand."""
        total, longest = sum(draft_lens), max(draft_lens)
        return self._kept.get((context.num_requests, total, longest), self._compute)

    def _compute(self, num_requests: int, total: int, longest: int) -> Floats:
        admitted = np.arange(total + 1)
        spent_s = self._cost.draft_s(np.array([total / longest]), longest)
        padding_s = unevenness_s(self._cost, num_requests, longest - admitted / num_requests)
        return np.asarray(spent_s + self._step_s(num_requests, num_requests + admitted) + padding_s)


class DraftTimes:
    """Seconds of a cycle that makes some number of drafts, none beyond a longest, and verifies
    them all.

    On the convex envelope: among cells measured with an error of a few percent, the best as they
    are would be the luckiest.
    """

    def __init__(self, cost: StepCost) -> None:
        self.cost = cost
        self._kept = _Kept(cost)

    def of(self, context: PlanContext, gamma: int) -> Floats:
        """[gamma + 1, n + 1]: row K for drafts of at most K tokens, column 0..n = size * gamma for
        how many in all; entries that cannot be (row 0 but for column 0, more than K each) mean
        nothing.
        """
        size = len(context.request_ids)
        return self._kept.get((context.num_requests, size, gamma), self._compute)

    def slots_s(self, context: PlanContext, gamma: int) -> Floats:
        """[gamma]: what the k-th slot of a draft adds to a cycle by being verified, the drafts of
        all requests growing together.
        """
        size = len(context.request_ids)
        return np.diff(self.of(context, gamma)[0, ::size]) / size

    def _compute(self, num_requests: int, size: int, gamma: int) -> Floats:
        counts = np.arange(size * gamma + 1)
        step_s = self.cost.convex_step_s(num_requests, num_requests + counts)
        rows = [step_s]
        for longest in range(1, gamma + 1):
            made_s = self.cost.draft_s(counts / longest, longest)
            rows.append(
                step_s + made_s + unevenness_s(self.cost, num_requests, longest - counts / size)
            )
        return np.array(rows)


def unevenness_s(cost: StepCost, num_requests: int, excess: Floats) -> Floats:
    """Seconds [n] that being uneven takes when the longest draft exceeds the mean by `excess` [n].

    By however little, or much: the rows of long drafts lie together, so that they pad nobody.
    """
    return np.where(excess > 0, cost.uneven_s(num_requests), 0.0)


def smoothed_draft_s(known_s: float | None, records: Sequence[CycleRecord]) -> float | None:
    """What drafting takes, learnt from the last cycle: of trees, which no profile knows.

    known_s: what was known before it, None: nothing. Cycles that read prompts say nothing.
    """
    if not records or records[0].has_prefill:
        return known_s
    took_s = records[0].t_draft_s
    return took_s if known_s is None else TIME_MEMORY * known_s + (1 - TIME_MEMORY) * took_s


class _Kept:
    """Values by key, forgotten when the cost changes or when there are too many."""

    def __init__(self, cost: StepCost) -> None:
        self._cost = cost
        self._version = cost.version
        self._known: dict[tuple[int, int, int], Floats] = {}

    def get(self, key: tuple[int, int, int], compute: Callable[[int, int, int], Floats]) -> Floats:
        if self._version != self._cost.version or len(self._known) > MOST_KNOWN:
            self._known, self._version = {}, self._cost.version
        if key not in self._known:
            self._known[key] = compute(*key)
        return self._known[key]
