"""Cutting trees to their first nodes: `hardware_aware` and its kin where drafts are trees.

Nodes come by falling survival: the drafter's probability of the node behind its prefix, multiplied
from the anchor on. Their sum over a tree's nodes is the accepted depth that it foresees. Algorithm
1 of DSpark admits nodes of all trees in that order while the expected throughput rises.

A tree follows from what was committed before, and `match` draws from the target whatever was
drafted. So how many nodes are verified may depend on the whole tree, and anticipates no draw.

Probabilities of a drafter are not those of the target. How much its trees foresee too much, or too
little, is learnt as one factor from cycles that are over: depths that stood over depths foreseen.
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.protocols import StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext
from dspark_bench.schedulers.admission import causal_greedy
from dspark_bench.schedulers.cycle_times import smoothed_draft_s, unevenness_s

MEMORY = 0.98
"""Share of what is known that a new cycle leaves."""
FIRST_CYCLES = 4.0
"""As many cycles the estimates count as true to begin with."""


class TreeCuts:
    """Whether to draft trees, and how many of their nodes to verify."""

    def __init__(self, cost: StepCost, min_gain: float) -> None:
        """min_gain: share by which drafting must be forecast to beat not drafting."""
        self._cost = cost
        self._min_gain = min_gain
        self._stood = self._foreseen = FIRST_CYCLES
        self._worth: Floats = np.zeros(0)
        self._num_seen = 0.0
        self._draft_s: float | None = None

    @property
    def factor(self) -> float:
        """Depths that stood over depths foreseen."""
        return self._stood / self._foreseen

    def plan_draft(self, context: PlanContext) -> list[int]:
        """Trees as deep as drafts are long for everyone, or none where earlier trees say that even
        their best cut would lose.
        """
        size = len(context.request_ids)
        pays = self._draft_s is None or self._num_seen == 0 or self._pays(context)
        return [context.gamma if pays else 0] * size

    def _pays(self, context: PlanContext) -> bool:
        """Compares batches without drafts and with n nodes of the usual worth for everyone."""
        size = len(context.request_ids)
        counts = size * np.arange(self._worth.size + 1)
        step_s = self._cost.convex_step_s(context.num_requests, context.num_requests + counts)
        gained = self.factor * np.cumsum(self._worth / self._num_seen)
        assert self._draft_s is not None
        best = (context.num_requests + size * gained) / (step_s[1:] + self._draft_s)
        idle = context.num_requests / step_s[0]
        return bool(best.max() >= idle * (1 + self._min_gain))

    def plan_verify(self, context: PlanContext, num_nodes: Sequence[int]) -> list[int]:
        """Nodes of each tree: admitted by falling survival while throughput rises."""
        expected, step_s = self.prospects(context, num_nodes)
        return causal_greedy(expected, num_nodes, context.num_requests, step_s)

    def prospects(self, context: PlanContext, num_nodes: Sequence[int]) -> tuple[Floats, Floats]:
        """Probability that each node stands [B, N], and seconds of the cycle with the first 0..n
        nodes of the batch admitted [n + 1].
        """
        assert context.survival is not None
        expected = np.minimum(self.factor * context.survival, 1.0)
        total, longest = sum(num_nodes), max(num_nodes)
        admitted, size = np.arange(total + 1), context.num_requests
        step_s = self._cost.convex_step_s(size, size + admitted) + (self._draft_s or 0.0)
        return expected, step_s + unevenness_s(self._cost, size, longest - admitted / size)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learn from a finished cycle: what its trees foresaw, what stood, what drafting took.

        Trees cut by an end of text count as far as they were decided.
        """
        trees = [record for record in records if record.survival]
        if not trees:
            return
        for record in trees:
            self._stood = MEMORY * self._stood + record.num_accepted
            verified = record.survival[: record.verify_len]
            self._foreseen = MEMORY * self._foreseen + sum(verified)
            self._note_worth(record.survival)
        self._draft_s = smoothed_draft_s(self._draft_s, trees)

    def _note_worth(self, survival: Sequence[float]) -> None:
        """Add a tree to the mean worth of a first, second, ... node."""
        width = max(len(survival), self._worth.size)
        worth = np.zeros(width)
        worth[: self._worth.size] = MEMORY * self._worth
        worth[: len(survival)] += survival
        self._worth, self._num_seen = worth, MEMORY * self._num_seen + 1
