"""`global_argmax`: the best prefix of the ranking anywhere, as serving engines search it.

Retrospective: a confidence far down a draft, which depends on the tokens before it, can decide
whether those tokens are verified. Sampled output is then biased (DSpark, Appendix A), so this
scheduler is never reported lossless; it is here to be compared with.
"""

from collections.abc import Sequence

from dspark_bench.core.protocols import Calibrator, StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, SchedulerSpec
from dspark_bench.schedulers.admission import global_best
from dspark_bench.schedulers.cycle_times import VerifyTimes
from dspark_bench.schedulers.draft_choice import check_period, equal_lens
from dspark_bench.schedulers.survival import survival


class GlobalArgmaxScheduler:
    """Drafts gamma tokens; verifies the prefix with the highest expected throughput."""

    def __init__(
        self, cost: StepCost, calibrator: Calibrator, exploration_period: int = 200
    ) -> None:
        """See conf/scheduler/global_argmax.yaml. Raises UsageError for a negative period."""
        check_period(exploration_period)
        self.spec = SchedulerSpec(
            "global_argmax",
            is_non_anticipating=False,
            is_selective=True,
            needs_confidence=True,
            exploration_period=exploration_period,
        )
        self._cost = cost
        self._times = VerifyTimes(cost, is_convex=False)
        self._calibrator = calibrator

    def plan_draft(self, context: PlanContext) -> list[int]:
        """gamma for every request."""
        return equal_lens(context, context.gamma)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """The prefix of the ranking with the highest throughput."""
        assert confidence is not None
        values = survival(confidence, self._calibrator)
        step_s = self._times.of(context, draft_lens)
        return global_best(values, draft_lens, context.num_requests, step_s)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Cost and calibration learn; the search keeps nothing."""
        self._cost.observe(records)
        self._calibrator.observe(records)
