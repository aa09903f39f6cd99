"""`hardware_aware_async`: DSpark as deployed (paper section 5.2), for engines that plan ahead.

How many drafts a batch verifies comes from a global search on the confidences of two steps ago;
which ones, from the fresh ranking. The capacity is fixed before this cycle's drafts exist, so the
ranking alone decides, and that looks at nothing later than what it admits.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from dspark_bench.core.protocols import Calibrator, StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import PlanContext
from dspark_bench.schedulers.admission import best_count, rank, top
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler
from dspark_bench.schedulers.survival import survival

LAG = 2


class HardwareAwareAsyncScheduler(HardwareAwareScheduler):
    """Capacity from two cycles ago, ranking from now."""

    def __init__(
        self,
        cost: StepCost,
        calibrator: Calibrator,
        exploration_period: int = 200,
        min_gain: float = 0.0,
        reserve: float = 0.8,
    ) -> None:
        """As `hardware_aware`."""
        super().__init__(cost, calibrator, exploration_period, min_gain, reserve)
        self.spec = replace(self.spec, name="hardware_aware_async")
        self._shares: deque[float] = deque(maxlen=LAG)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """Admit the best drafts up to a capacity that was fixed two cycles ago; everything where
        that was decided before drafting.

        The capacity is kept per drafted token, because batches and drafts change in size; until two
        cycles have been seen, everything is verified. Of trees the same holds for nodes.
        """
        if context.survival is not None:
            values, step_s = self._trees.prospects(context, draft_lens)
        else:
            assert confidence is not None
            if self._verifies_all(draft_lens):
                return list(draft_lens)
            values = survival(confidence, self._calibrator)
            step_s = self._verify_times.of(context, draft_lens)
        total = sum(draft_lens)
        share = self._shares[0] if len(self._shares) == LAG else 1.0
        count = best_count(rank(values, draft_lens), context.num_requests, step_s)
        self._shares.append(count / total)
        return top(values, draft_lens, round(share * total))
