"""What every law of lengths gives. Called by the experiment layer when it builds requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LengthPlan:
    """tokens [n]: most tokens of each request, 1 to the cap; notes: what a reader must know."""

    tokens: tuple[int, ...]
    notes: tuple[str, ...] = ()


class Lengths(Protocol):
    """Says how many tokens each request may produce."""

    def plan(self, num_requests: int, cap: int) -> LengthPlan:
        """Lengths of a run's requests, none above `cap`; the same for the same arguments.

        Raises UsageError if it has none for so many.
        """
        ...


def capped(wanted: Sequence[int], cap: int, source: str) -> LengthPlan:
    """Lengths between 1 and `cap`; every one that had to be moved there is counted in a note."""
    num_above = sum(length > cap for length in wanted)
    num_below = sum(length < 1 for length in wanted)
    notes = []
    if num_above:
        notes.append(
            f"{source}: {num_above} of {len(wanted)} lengths were above max_new_tokens={cap} and "
            "capped there"
        )
    if num_below:
        notes.append(f"{source}: {num_below} of {len(wanted)} lengths were 0 and became 1")
    return LengthPlan(tuple(min(max(length, 1), cap) for length in wanted), tuple(notes))
