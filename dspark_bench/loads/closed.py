"""`closed`: N users, each sends a request, waits for its answer, thinks, and sends the next."""

import heapq
import math

from dspark_bench.core.errors import UsageError


class ClosedLoad:
    """Closed loop of `concurrency` users who pause for `think_s` seconds after each answer."""

    def __init__(self, concurrency: int, think_s: float = 0.0) -> None:
        """Raises UsageError for values out of range."""
        if concurrency < 1:
            raise UsageError(f"load.concurrency is {concurrency}; valid: 1 or more")
        if not (math.isfinite(think_s) and think_s >= 0):
            raise UsageError(f"load.think_s is {think_s}; valid: 0 or more seconds")
        self._concurrency = concurrency
        self._think_s = think_s
        self._num_requests = self._num_finished = 0
        self._due: list[float] = []
        self._thinking: list[float] = []

    @property
    def max_concurrency(self) -> int:
        """Requests in flight: never more than there are users."""
        return self._concurrency

    def start(self, num_requests: int) -> None:
        """A new run: every user sends at once."""
        self._num_requests, self._num_finished = num_requests, 0
        self._due = [0.0] * min(self._concurrency, num_requests)
        self._thinking = []

    def due(self, now_s: float, num_finished: int) -> int:
        """One request per user, plus one for each answer that has been thought over."""
        for _ in range(num_finished - self._num_finished):
            heapq.heappush(self._thinking, now_s + self._think_s)
        self._num_finished = num_finished
        while self._thinking and self._thinking[0] <= now_s:
            self._due.append(heapq.heappop(self._thinking))
        return min(len(self._due), self._num_requests)

    def scheduled_s(self, index: int, now_s: float) -> float:
        """When its user had thought long enough."""
        return self._due[index]

    def last_arrival_s(self, num_requests: int) -> float:
        """Pauses before the last request, if answers took no time. One user's turns have none."""
        if self._concurrency == 1:
            return 0.0
        return (math.ceil(num_requests / self._concurrency) - 1) * self._think_s

    def notes(self, num_requests: int) -> tuple[str, ...]:
        """Whether a pause was asked for that never comes."""
        if self._think_s == 0 or 1 < self._concurrency < num_requests:
            return ()
        reason = "every turn is one request" if self._concurrency == 1 else "nobody sends a second"
        return (f"load.think_s={self._think_s:g} has no effect: {reason}",)

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        """When the next user has thought long enough; None while all wait for answers."""
        is_over = num_started >= self._num_requests
        return None if is_over or not self._thinking else self._thinking[0]
