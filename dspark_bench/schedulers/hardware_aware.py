"""`hardware_aware`: DSpark's scheduler (paper section 4, Algorithm 1), draft length included.

Before drafting, how much to draft is chosen from forecasts; then this cycle's confidences rank the
drafts of all requests, and they are admitted one by one while the expected throughput rises.
Whether position k is verified depends on what ranks above it alone: on its own request's tokens
before k, never on x_k or later. Where cutting drafts short has lately gained less than choosing
takes, all of them are verified unread (`cutting`).

Trees are cut to their first nodes (`tree_cuts`).
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Calibrator, StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, SchedulerSpec
from dspark_bench.schedulers.admission import causal_greedy
from dspark_bench.schedulers.cutting import CuttingGain
from dspark_bench.schedulers.cycle_times import DraftTimes, VerifyTimes
from dspark_bench.schedulers.draft_choice import DraftRule, check_period, choose_rule
from dspark_bench.schedulers.survival import SurvivalForecast, read_drafts, survival
from dspark_bench.schedulers.tree_cuts import TreeCuts

REFRESH_CYCLES = 4
"""Cycles between two choices of draft lengths: forecasts move slowly, and choosing takes time."""
SETTLED_CYCLES = 16
"""The same when nobody is new to the forecasts."""
NEW_CYCLES = 8
"""Cycles of its own for which a request is new."""


class HardwareAwareScheduler:
    """Algorithm 1 on calibrated survival and a step cost. Keeps its history from run to run."""

    def __init__(
        self,
        cost: StepCost,
        calibrator: Calibrator,
        exploration_period: int = 200,
        min_gain: float = 0.0,
        reserve: float = 0.8,
    ) -> None:
        """See conf/scheduler/hardware_aware.yaml. Raises UsageError for values out of range."""
        check_period(exploration_period)
        if not (np.isfinite(min_gain) and min_gain >= 0):
            raise UsageError(f"scheduler.min_gain is {min_gain}; valid: 0 or more")
        if not 0 < reserve <= 1:
            raise UsageError(f"scheduler.reserve is {reserve}; valid: above 0, up to 1")
        self.spec = SchedulerSpec(
            "hardware_aware",
            is_selective=True,
            needs_confidence=True,
            exploration_period=exploration_period,
            knows_trees=True,
        )
        self._cost = cost
        self._trees = TreeCuts(cost, min_gain)
        self._calibrator = calibrator
        self._min_gain = min_gain
        self._reserve = reserve
        self._forecast = SurvivalForecast()
        self._cutting = CuttingGain()
        self._draft_times = DraftTimes(cost)
        self._verify_times = VerifyTimes(cost, is_convex=True)
        self._unread: list[CycleRecord] = []
        self._num_unread = 0
        self._rule: DraftRule | None = None
        self._lens: dict[int, int] = {}
        self._newcomer = 0

    def plan_draft(self, context: PlanContext) -> list[int]:
        """What the forecast says will pay; looked at anew every few cycles. Trees: all or none."""
        if context.num_nodes is not None:
            self._unread, self._num_unread = [], 0  # cycles that found no tree teach nothing
            return self._trees.plan_draft(context)
        self._forget_newcomers(context)
        if self._rule is None or self._num_unread >= _period(context):
            self._look_again(context)
        return [self._lens.get(request_id, self._newcomer) for request_id in context.request_ids]

    def _forget_newcomers(self, context: PlanContext) -> None:
        """An id that starts anew is another request: nothing of the last one may be known."""
        paired = zip(context.request_ids, context.cycles, strict=True)
        new = {request_id for request_id, cycle in paired if cycle <= 1}
        if new:
            self._forecast.forget(new)
            self._unread = [record for record in self._unread if record.request_id not in new]
            for request_id in new:
                self._lens.pop(request_id, None)

    def _look_again(self, context: PlanContext) -> None:
        """Read the cycles since the last time, and choose how much to draft from now on."""
        drafts = read_drafts(self._unread, self._calibrator)
        self._unread, self._num_unread = [], 0
        if drafts is not None:
            self._forecast.observe(drafts)
            if self._rule is not None:
                slot_s = self._draft_times.slots_s(context, context.gamma)
                self._cutting.observe(drafts, slot_s, self._rule.throughput)
        forecast = self._forecast.survival(context.request_ids, context.gamma)
        reserve = self._reserve if self._cutting.is_worth_it else 1.0
        self._rule = choose_rule(forecast, context, self._draft_times, self._min_gain, reserve)
        lens = self._rule.lens(forecast)
        self._lens = dict(zip(context.request_ids, lens, strict=True))
        self._newcomer = self._rule.lens(self._forecast.shared(context.gamma))[0]

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """Admit while throughput rises; everything where that was decided before drafting. Of trees
        see `tree_cuts`.
        """
        if context.survival is not None:
            return self._trees.plan_verify(context, draft_lens)
        assert confidence is not None
        if self._verifies_all(draft_lens):
            return list(draft_lens)
        values = survival(confidence, self._calibrator)
        step_s = self._verify_times.of(context, draft_lens)
        return causal_greedy(values, draft_lens, context.num_requests, step_s)

    def _verifies_all(self, draft_lens: Sequence[int]) -> bool:
        """Whether confidences are left unread: in a batch that was chosen to be even, and where
        cutting has gained less than choosing takes.
        """
        if not self._cutting.is_worth_it:
            return True
        is_even = self._rule is not None and self._rule.is_even
        return is_even and len(draft_lens) > 1 and min(draft_lens) == max(draft_lens)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learn from a finished cycle."""
        self._cost.observe(records)
        if any(record.survival for record in records):
            self._trees.observe(records)
            return
        self._calibrator.observe(records)
        self._unread.extend(records)
        self._num_unread += 1


def _period(context: PlanContext) -> int:
    """Cycles after which to look again."""
    is_settled = min(context.cycles) > NEW_CYCLES
    return SETTLED_CYCLES if is_settled else REFRESH_CYCLES
