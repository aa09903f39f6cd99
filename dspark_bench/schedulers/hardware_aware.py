"""`hardware_aware`: DSpark's scheduler (paper section 4, Algorithm 1), draft length included.

Before drafting, how much to draft is chosen from forecasts; then this cycle's confidences rank the
drafts of all requests, and they are admitted one by one while the expected throughput rises.
Whether position k is verified depends on what ranks above it alone: on its own request's tokens
before k, never on x_k or later.
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Calibrator, StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import CycleRecord, PlanContext, SchedulerSpec
from dspark_bench.schedulers.admission import IntArray, StepTimes, causal_greedy
from dspark_bench.schedulers.draft_choice import choose_draft_lens
from dspark_bench.schedulers.survival import SurvivalForecast, survival


class HardwareAwareScheduler:
    """Algorithm 1 on calibrated survival and a step cost. Keeps its history from run to run."""

    def __init__(
        self,
        cost: StepCost,
        calibrator: Calibrator,
        exploration_period: int = 64,
        min_gain: float = 0.0,
        reserve: float = 0.6,
    ) -> None:
        """See conf/scheduler/hardware_aware.yaml. Raises UsageError for values out of range."""
        if exploration_period < 0:
            raise UsageError(
                f"scheduler.exploration_period is {exploration_period}; valid: 0 or more"
            )
        if not (np.isfinite(min_gain) and min_gain >= 0):
            raise UsageError(f"scheduler.min_gain is {min_gain}; valid: 0 or more")
        if not 0 < reserve <= 1:
            raise UsageError(f"scheduler.reserve is {reserve}; valid: above 0, up to 1")
        self.spec = SchedulerSpec(
            "hardware_aware",
            is_selective=True,
            needs_confidence=True,
            exploration_period=exploration_period,
        )
        self._cost = cost
        self._calibrator = calibrator
        self._min_gain = min_gain
        self._reserve = reserve
        self._forecast = SurvivalForecast()

    def plan_draft(self, context: PlanContext) -> list[int]:
        """What the forecast says will pay."""
        forecast = self._forecast.survival(context.request_ids, context.gamma)
        return choose_draft_lens(forecast, context, self._cost, self._min_gain, self._reserve)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """Admit while throughput rises."""
        assert confidence is not None
        times = cycle_times(context, draft_lens, self._cost)
        values = survival(confidence, self._calibrator)
        return causal_greedy(values, draft_lens, context.num_requests, times)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learn from a finished cycle."""
        self._cost.observe(records)
        self._calibrator.observe(records)
        self._forecast.observe(records, self._calibrator)


def cycle_times(context: PlanContext, draft_lens: Sequence[int], cost: StepCost) -> StepTimes:
    """Seconds of this cycle by the number of drafts verified; what was drafted is spent."""
    longest = max(draft_lens)
    spent_s = float(cost.draft_s(np.array([sum(draft_lens) / longest]), longest)[0])

    def times(admitted: IntArray) -> Floats:
        tokens = context.num_fixed_tokens + admitted
        return spent_s + cost.step_s(context.num_requests, tokens)

    return times
