"""`threshold`: verify up to the first draft whose confidence is too low, at any load; of trees, the
nodes whose survival is high enough.

The static rule of DeepSpec's evaluation: slots before the first c_k below the threshold. c_k knows
x_{k-1} at most, so nothing is anticipated.
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Calibrator
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, SchedulerSpec
from dspark_bench.schedulers.draft_choice import check_period, equal_lens


class ThresholdScheduler:
    """Drafts gamma tokens, verifies those before the first doubtful one."""

    def __init__(
        self, calibrator: Calibrator, threshold: float = 0.5, exploration_period: int = 200
    ) -> None:
        """See conf/scheduler/threshold.yaml. Raises UsageError for values out of range."""
        check_period(exploration_period)
        if not 0 <= threshold <= 1:
            raise UsageError(f"scheduler.threshold is {threshold}; valid: 0 to 1")
        self.spec = SchedulerSpec(
            "threshold",
            is_selective=True,
            needs_confidence=True,
            exploration_period=exploration_period,
            knows_trees=True,
        )
        self._calibrator = calibrator
        self._threshold = threshold

    def plan_draft(self, context: PlanContext) -> list[int]:
        """gamma for every request."""
        return equal_lens(context, context.gamma)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """The slots before the first below the threshold; of a tree, the nodes that reach it.

        Siblings share one chance, so there a node's survival is compared, which is the chance that
        all of its prefix stands. A tree follows from the context: nothing is anticipated.
        """
        if context.survival is not None:
            is_worth = context.survival >= self._threshold
            nodes: list[int] = np.minimum(is_worth.sum(1), draft_lens).tolist()
            return nodes
        assert confidence is not None
        is_sure = self._calibrator.calibrate(confidence) >= self._threshold
        sure = np.cumprod(is_sure, axis=1).sum(1)
        found: list[int] = np.minimum(sure, draft_lens).tolist()
        return found

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """The calibration learns."""
        self._calibrator.observe(records)
