"""Several engines at work in one process, each for a few cycles at a time.

The pace of a machine drifts by more than what arms differ by: within a minute everywhere, within a
second where others share its memory. Arms that hand over often meet the same pace; arms that each
serve all their requests before the next one starts do not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from dspark_bench.core.records import RunResult
from dspark_bench.metrics.units import STRETCH_TOKENS

TURN_TOKENS: Final = 24
LEAST_TURN_TOKENS: Final = 96
"""Tokens per request at once, and at least, after which the next arm takes over: about a second."""
Around = Callable[[str], AbstractContextManager[object]]


def turn_tokens(concurrency: int) -> int:
    """Tokens that an arm emits before the next one takes over."""
    if concurrency == 1:
        return STRETCH_TOKENS
    return max(LEAST_TURN_TOKENS, TURN_TOKENS * concurrency)


def interleave(
    runs: Mapping[str, Iterator[RunResult]],
    turn_tokens: int,
    orders: Sequence[Sequence[str]] = (),
    around: Around = nullcontext,
) -> tuple[dict[str, RunResult], dict[str, Exception]]:
    """Run all of `runs` (`Engine.steps`) to their end; an arm that raises leaves the others.
    Returns the results of those that came to their end, and what the others raised.

    A turn lasts until its arm has emitted `turn_tokens` more than at the end of the turn before, so
    that all get on equally. orders: of the arms in each pass, over and over; empty: each pass
    starts with another one. around: entered right before an arm works, left right after it.
    """
    arms = {name: _Arm(run) for name, run in runs.items()}
    orders = orders or _rotations(tuple(runs))
    num_passes = 0
    while not all(arm.is_done for arm in arms.values()):
        num_passes += 1
        for name in orders[(num_passes - 1) % len(orders)]:
            if not arms[name].is_done:
                arms[name].advance(num_passes * turn_tokens, around(name))
    results = {name: arm.result for name, arm in arms.items() if arm.error is None}
    return results, {name: arm.error for name, arm in arms.items() if arm.error is not None}


def _rotations(names: Sequence[str]) -> list[Sequence[str]]:
    return [[*names[first:], *names[:first]] for first in range(len(names))]


@dataclass(slots=True)
class _Arm:
    """A run as far as it has got."""

    run: Iterator[RunResult]
    result: RunResult = field(default_factory=RunResult)
    error: Exception | None = None
    num_records: int = 0
    num_tokens: int = 0
    is_done: bool = False

    def advance(self, num_tokens: int, around: AbstractContextManager[object]) -> None:
        """Go on until so many tokens have been emitted, or to the end."""
        try:
            with around:
                self._advance(num_tokens)
        except Exception as error:
            self.error, self.is_done = error, True

    def _advance(self, num_tokens: int) -> None:
        while self.num_tokens < num_tokens and not self.is_done:
            result = next(self.run, None)
            if result is None:
                self.is_done = True
                return
            self.result = result
            new = result.cycles[self.num_records :]
            self.num_records += len(new)
            self.num_tokens += sum(record.num_emitted for record in new)
