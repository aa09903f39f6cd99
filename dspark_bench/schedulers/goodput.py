"""`goodput`: SmartSpec (arXiv 2406.14066). One draft length for the batch, from its history.

With alpha the share of decided drafts that were accepted lately, the length k is the one with the
highest sum over requests of (1 - alpha^(k+1))/(1 - alpha) per second. No confidences: any drafter.
Of trees, one number of nodes (`node_history`).
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.protocols import StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, SchedulerSpec
from dspark_bench.schedulers.draft_choice import check_period, equal_lens
from dspark_bench.schedulers.node_history import NodeHistory

MEMORY = 0.98
_FIRST_ALPHA = 0.7


class GoodputScheduler:
    """Verifies all of what it drafts; how much that is follows acceptance and cost.

    A length of zero would teach nothing more, so every so many cycles everything is drafted.
    """

    def __init__(self, cost: StepCost, exploration_period: int = 64) -> None:
        """exploration_period: see conf/scheduler/goodput.yaml. Raises UsageError if negative."""
        check_period(exploration_period)
        self.spec = SchedulerSpec(
            "goodput", exploration_period=exploration_period, knows_trees=True, cuts_trees=True
        )
        self._cost = cost
        self._trees = NodeHistory(cost, _FIRST_ALPHA)
        self._accepted, self._decided = _FIRST_ALPHA, 1.0

    def plan_draft(self, context: PlanContext) -> list[int]:
        """The best length for the batch. Trees: all or none."""
        if context.num_nodes is not None:
            return self._trees.plan_draft(context)
        size = len(context.request_ids)
        others = context.num_requests - size
        lengths = np.arange(context.gamma + 1)
        alpha = min(self._accepted / self._decided, 0.999)
        emitted = others + size * (1 - alpha ** (lengths + 1)) / (1 - alpha)
        tokens = context.num_requests + size * lengths
        all_of_them = np.array([float(size)])
        draft_s = np.array(
            [float(self._cost.draft_s(all_of_them, k)[0]) if k else 0.0 for k in lengths.tolist()]
        )
        times = self._cost.step_s(context.num_requests, tokens) + draft_s
        return equal_lens(context, int(np.argmax(emitted / times)))

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """The whole draft of every request; of trees, the best number of nodes."""
        if context.survival is not None:
            return self._trees.plan_verify(draft_lens)
        return list(draft_lens)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Acceptances and refusals of one cycle."""
        self._cost.observe(records)
        if any(record.survival for record in records):
            self._trees.observe(records)
            return
        accepted = sum(record.num_accepted for record in records)
        decided = accepted + sum(record.is_rejected for record in records)
        if decided:
            self._accepted = MEMORY * self._accepted + accepted
            self._decided = MEMORY * self._decided + decided
