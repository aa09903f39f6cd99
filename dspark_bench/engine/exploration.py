"""Which decode cycles draft and verify everything, whatever the scheduler would choose.

They are what is known of the drafter itself under a scheduler that picks by confidence, and what
tells a scheduler that drafts nothing that it should draft again. So the choice looks at no token:
one cycle of every `period`, at a place drawn from the block's number alone. A place that never
changed would keep step with answers of equal length and meet the same part of each of them.
"""

from dspark_bench.core.random_streams import keyed_place


class Exploration:
    """Counts the decode cycles of an engine, from run to run. Mutated once per decode cycle."""

    def __init__(self, period: int) -> None:
        """period: cycles of a block, of which one explores; 0: none ever does."""
        self._period = period
        self._num_cycles = 0

    def is_due(self) -> bool:
        """Whether the decode cycle that begins now explores; the next call is about the next."""
        if self._period == 0:
            return False
        block, place = divmod(self._num_cycles, self._period)
        self._num_cycles += 1
        return place == keyed_place(block, self._period)
