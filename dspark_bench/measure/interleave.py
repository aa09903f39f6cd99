"""Several engines at work in one process, each for a few cycles at a time.

The pace of a machine drifts by more than what schedulers differ by, and does so within a minute.
Arms that hand over every second meet the same pace; arms that each serve all their requests before
the next one starts do not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dspark_bench.core.types import RunResult


def interleave(runs: Mapping[str, Iterator[RunResult]], turn_tokens: int) -> dict[str, RunResult]:
    """Run all of `runs` (`Engine.steps`) to their end.

    A turn lasts until its arm has emitted `turn_tokens` more than at the end of the turn before, so
    that all get on equally; each pass over the arms starts with another one.
    """
    arms = {name: _Arm(run) for name, run in runs.items()}
    working = list(arms.values())
    num_passes = 0
    while working:
        first = num_passes % len(working)
        num_passes += 1
        for arm in working[first:] + working[:first]:
            arm.advance(num_passes * turn_tokens)
        working = [arm for arm in working if not arm.is_done]
    return {name: arm.result for name, arm in arms.items()}


@dataclass(slots=True)
class _Arm:
    """A run as far as it has got."""

    run: Iterator[RunResult]
    result: RunResult = field(default_factory=RunResult)
    num_records: int = 0
    num_tokens: int = 0
    is_done: bool = False

    def advance(self, num_tokens: int) -> None:
        """Go on until so many tokens have been emitted, or to the end."""
        while self.num_tokens < num_tokens and not self.is_done:
            result = next(self.run, None)
            if result is None:
                self.is_done = True
                return
            self.result = result
            new = result.cycles[self.num_records :]
            self.num_records += len(new)
            self.num_tokens += sum(record.num_emitted for record in new)
