"""Which decode cycles draft and verify everything, whatever the scheduler would choose.

They are what is known of the drafter itself under a scheduler that picks by confidence, and what
tells a scheduler that drafts nothing that it should draft again. So the choice looks at no token:
one cycle of every block, at a place drawn from the block's number alone. A place that never changed
would keep step with answers of equal length and meet the same part of each of them. The first
blocks are short, so that a short run has such cycles too, and a scheduler learns early.
"""

from typing import Final

from dspark_bench.core.random_streams import keyed_place

FIRST_BLOCK: Final = 16
"""Decode cycles of the first block."""
_SHARE: Final = 4
"""A block is longer than the first by the cycles before it over this."""


class Exploration:
    """Counts the decode cycles of an engine, from run to run. Mutated once per decode cycle."""

    def __init__(self, period: int) -> None:
        """period: most cycles of a block, of which one explores; 0: none ever does."""
        self._period = period
        self._num_cycles = self._num_blocks = 0
        self._end = self._due = 0

    def is_due(self) -> bool:
        """Whether the decode cycle that begins now explores; the next call is about the next."""
        if self._period == 0:
            return False
        if self._num_cycles == self._end:
            length = min(self._period, FIRST_BLOCK + self._end // _SHARE)
            self._due = self._end + keyed_place(self._num_blocks, length)
            self._end += length
            self._num_blocks += 1
        self._num_cycles += 1
        return self._num_cycles == self._due + 1
