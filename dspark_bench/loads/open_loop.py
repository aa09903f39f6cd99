"""What every open loop shares: arrival times that do not wait for answers.

All arrivals of a run are drawn before it starts, from one generator, so that a slow engine meets
the same traffic as a fast one and its queue shows in the latencies.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dspark_bench.core.errors import UsageError

FloatArray = NDArray[np.float64]
MIN_RATE = 1e-4
"""Requests per second: one in about three hours."""
DrawArrivals = Callable[[int], FloatArray]
"""Number of requests -> their arrival times, seconds from the run's start, in order."""


class OpenLoop:
    """Requests start at times of their own. A request that finds no free place waits."""

    def __init__(self, draw: DrawArrivals, max_concurrency: int) -> None:
        """Raises UsageError if `max_concurrency` is below 1."""
        if max_concurrency < 1:
            raise UsageError(f"load.max_concurrency is {max_concurrency}; valid: 1 or more")
        self._draw = draw
        self._max_concurrency = max_concurrency
        self._times: FloatArray = np.empty(0)

    @property
    def max_concurrency(self) -> int:
        """Requests that may run at once."""
        return self._max_concurrency

    def start(self, num_requests: int) -> None:
        """Draw the arrivals of a run; equal runs get equal arrivals."""
        self._times = self._draw(num_requests)

    def due(self, now_s: float, num_finished: int) -> int:
        """Arrivals up to now."""
        return int(np.searchsorted(self._times, now_s, side="right"))

    def scheduled_s(self, index: int, now_s: float) -> float:
        """The drawn arrival, however late it was found."""
        return float(self._times[index])

    def last_arrival_s(self, num_requests: int) -> float:
        """When the last of a run's requests falls due: a run takes at least that long.

        Raises UsageError if there are not so many arrivals.
        """
        return float(self._draw(num_requests)[-1])

    def notes(self, num_requests: int) -> tuple[str, ...]:
        """What a reader must know about the arrivals of a run; nothing of most loads."""
        return ()

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        """The next arrival; None after the last."""
        return float(self._times[num_started]) if num_started < self._times.size else None


def check_rate(key: str, rate: float) -> None:
    """Raise UsageError unless `rate` is a number of requests per second that arrive in our time."""
    if not (np.isfinite(rate) and rate >= MIN_RATE):
        raise UsageError(f"load.{key} is {rate}; valid: {MIN_RATE:g} requests per second or more")


def check_seed(seed: int) -> None:
    """Raise UsageError for a negative seed."""
    if seed < 0:
        raise UsageError(f"load.seed is {seed}; valid: 0 or more")
