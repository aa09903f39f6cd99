"""How many nodes of its trees a batch verifies, from history alone: `goodput` on trees.

Nodes come by falling survival, so that the first n are a tree and node i means the same from cycle
to cycle: the i-th likeliest. How often each stood is known from cycles in which it was verified,
whatever else was: whether it stands depends on what the target draws, not on the nodes behind it.
So n nodes are worth the sum of these shares over the first n, for every n.

What is verified follows from earlier cycles, hence from no draw of this one.
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.protocols import StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext
from dspark_bench.schedulers.cycle_times import smoothed_draft_s

MEMORY = 0.98
"""Share of what is known that a new cycle leaves."""
LEAST_SEEN = 1e-6
"""Cycles at which forgetting ends: in the ratio of ever smaller numbers every digit is lost."""


class NodeHistory:
    """One number of nodes for the whole batch: the one of the highest expected throughput."""

    def __init__(self, cost: StepCost, first_alpha: float) -> None:
        """first_alpha: until something is known, node i is worth first_alpha^(i + 1), as the i-th
        draft of a chain would be; this counts as one cycle.
        """
        self._cost = cost
        self._first_alpha = first_alpha
        self._stood: Floats = np.zeros(0)
        self._seen: Floats = np.zeros(0)
        self._draft_s: float | None = None
        self._count = 0

    def plan_draft(self, context: PlanContext) -> list[int]:
        """Trees as deep as drafts are long for everyone, or none where no number of nodes pays."""
        assert context.num_nodes is not None
        self._widen(context.num_nodes)
        size = len(context.request_ids)
        nodes = np.arange(context.num_nodes + 1)
        worth = (self._stood / self._seen)[: context.num_nodes]
        expected = context.num_requests + size * np.concatenate([[0.0], np.cumsum(worth)])
        step_s = self._cost.step_s(context.num_requests, context.num_requests + size * nodes)
        times = step_s + np.where(nodes > 0, self._draft_s or 0.0, 0.0)
        self._count = int(np.argmax(expected / times))
        return [context.gamma if self._count else 0] * size

    def plan_verify(self, num_nodes: Sequence[int]) -> list[int]:
        """The first nodes of every tree, as many as were chosen before drafting."""
        return [min(self._count, length) for length in num_nodes]

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learn from a finished cycle which nodes stood, and what drafting took."""
        trees = [record for record in records if record.survival]
        if not trees:
            return
        self._widen(max(record.verify_len for record in trees))
        left = np.where(self._seen > LEAST_SEEN, MEMORY, 1.0)
        self._stood *= left
        self._seen *= left
        for record in trees:
            self._seen[: record.verify_len] += 1
            self._stood[list(record.path)] += 1
        self._draft_s = smoothed_draft_s(self._draft_s, trees)

    def _widen(self, width: int) -> None:
        """Know of `width` nodes at least."""
        places = np.arange(self._seen.size, width)
        self._stood = np.concatenate([self._stood, self._first_alpha ** (places + 1.0)])
        self._seen = np.concatenate([self._seen, np.ones(places.size)])
