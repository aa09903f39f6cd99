"""The time limit of a point: seconds of its own turns, while other arms of its block wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from dspark_bench.core.clock import Clock
from dspark_bench.core.errors import TimeLimitError


class Allowance:
    """A clock that raises TimeLimitError once its owner has been at work for `limit_s` in all.

    Whoever times work reads the clock often, so nothing else need look. Mutated by `at_work`.
    """

    def __init__(self, clock: Clock, limit_s: float | None) -> None:
        """limit_s: None for no limit."""
        self._clock = clock
        self._limit_s = limit_s
        self._spent_s = 0.0
        self._end_s = float("inf")

    def __call__(self) -> float:
        """The time, in seconds."""
        now_s = self._clock()
        if now_s > self._end_s:
            raise TimeLimitError(f"over its time limit: measure.time_limit_s is {self._limit_s:g}")
        return now_s

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Time inside counts."""
        started_s = self._clock()
        if self._limit_s is not None:
            self._end_s = started_s + self._limit_s - self._spent_s
        try:
            yield
        finally:
            self._end_s = float("inf")
            self._spent_s += self._clock() - started_s
