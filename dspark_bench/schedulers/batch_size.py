"""`batch_size`: a draft length per batch size, from a table, as servers are often configured."""

from collections.abc import Sequence

from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, SchedulerSpec
from dspark_bench.schedulers.draft_choice import equal_lens


class BatchSizeScheduler:
    """The entry of the largest batch size that is not above the batch; gamma below the first."""

    spec = SchedulerSpec("batch_size")

    def __init__(self, table: Sequence[Sequence[int]]) -> None:
        """table: pairs of batch size and draft length. Raises UsageError."""
        try:
            entries = {int(size): int(length) for size, length in table}
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"scheduler.table is {table}; valid: pairs like [[1,7],[16,2]]"
            ) from error
        for size, length in entries.items():
            if size < 1 or length < 0:
                raise UsageError(
                    f"scheduler.table has [{size},{length}]; valid: a batch size of 1 or more and "
                    "a draft length of 0 or more"
                )
        self._table = sorted(entries.items())

    def plan_draft(self, context: PlanContext) -> list[int]:
        """The table's length for this batch."""
        length = context.gamma
        for size, entry in self._table:
            if size <= context.num_requests:
                length = entry
        return equal_lens(context, length)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """The whole draft of every request."""
        return list(draft_lens)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learns nothing."""
