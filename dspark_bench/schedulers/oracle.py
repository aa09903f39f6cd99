"""`oracle`: knows every accepted length before it chooses. An upper bound, not a scheduler.

The engine drafts and verifies everything off the clock; this one then drafts and verifies, on the
clock, only what will be accepted and pays. Choosing by what the tokens turned out to be biases the
output, so it is never reported lossless.
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.protocols import StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, SchedulerSpec
from dspark_bench.schedulers.cycle_times import DraftTimes
from dspark_bench.schedulers.draft_choice import choose_rule, equal_lens


class OracleScheduler:
    """Wastes nothing; what is left to choose is which accepted drafts are worth their time."""

    spec = SchedulerSpec(
        "oracle", is_non_anticipating=False, is_selective=True, needs_hindsight=True
    )

    def __init__(self, cost: StepCost) -> None:
        self._cost = cost
        self._times = DraftTimes(cost)

    def plan_draft(self, context: PlanContext) -> list[int]:
        """gamma for every request, off the clock."""
        return equal_lens(context, context.gamma)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """Accepted drafts, each certain to survive, as far as they pay."""
        assert context.hindsight is not None
        is_accepted = np.arange(context.gamma) < np.array(context.hindsight)[:, None]
        sure = is_accepted.astype(np.float64)
        lens = choose_rule(sure, context, self._times, min_gain=0.0, reserve=1.0).lens(sure)
        return [min(n, limit) for n, limit in zip(lens, context.hindsight, strict=True)]

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """The cost learns."""
        self._cost.observe(records)
