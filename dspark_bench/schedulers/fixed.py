"""`fixed`: draft gamma tokens and verify them all, whatever happens. The default."""

from collections.abc import Sequence

from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, SchedulerSpec


class FixedScheduler:
    """Verifies everything; looks at nothing, so it anticipates nothing."""

    spec = SchedulerSpec("fixed", knows_trees=True)

    def plan_draft(self, context: PlanContext) -> list[int]:
        """gamma for every request."""
        return [context.gamma] * len(context.request_ids)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """The whole draft of every request."""
        return list(draft_lens)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learns nothing."""
