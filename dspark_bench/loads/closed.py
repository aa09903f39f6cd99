"""`closed`: N users, each sends a request, waits for its answer, and sends the next at once."""

from dspark_bench.core.errors import UsageError


class ClosedLoad:
    """Closed loop of `concurrency` users without think time."""

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise UsageError(f"load.concurrency is {concurrency}; valid: 1 or more")
        self._concurrency = concurrency

    @property
    def max_concurrency(self) -> int:
        """Requests in flight: never more than there are users."""
        return self._concurrency

    def due(self, now_s: float, num_finished: int, num_requests: int) -> int:
        """One request per user, plus one for each that has finished."""
        return min(num_requests, num_finished + self._concurrency)

    def scheduled_s(self, index: int, now_s: float) -> float:
        """The moment its user became free, which is when it was found due."""
        return now_s

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        """Only a finished request triggers the next."""
        return None
