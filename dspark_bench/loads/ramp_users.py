"""`ramp_users`: a closed loop whose users come one by one, or leave, over time."""

import math

from dspark_bench.core.errors import UsageError


class RampUsersLoad:
    """From `start_users` to `end_users` within `duration_s`; each sends the next when answered.

    A user who leaves finishes the request at hand first.
    """

    def __init__(self, start_users: int, end_users: int, duration_s: float) -> None:
        """Raises UsageError for values out of range."""
        for key, value in (("start_users", start_users), ("end_users", end_users)):
            if value < 1:
                raise UsageError(f"load.{key} is {value}; valid: 1 or more")
        if not (math.isfinite(duration_s) and duration_s > 0):
            raise UsageError(f"load.duration_s is {duration_s}; valid: above 0 seconds")
        self._start, self._end, self._duration_s = start_users, end_users, duration_s
        self._num_requests = self._num_due = 0

    @property
    def max_concurrency(self) -> int:
        """The largest number of users."""
        return max(self._start, self._end)

    def start(self, num_requests: int) -> None:
        """A new run."""
        self._num_requests, self._num_due = num_requests, 0

    def due(self, now_s: float, num_finished: int) -> int:
        """What has been answered, plus one request per user present; never fewer than before."""
        wanted = min(self._num_requests, num_finished + self.users(now_s))
        self._num_due = max(self._num_due, wanted)
        return self._num_due

    def scheduled_s(self, index: int, now_s: float) -> float:
        """The moment its user was free, which is when it was found due."""
        return now_s

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        """When the next user comes; None while users leave or stay."""
        step = self.users(now_s) - self._start + 1
        if now_s >= self._duration_s or self._end <= self._start:
            return None
        return self._duration_s * step / (self._end - self._start)

    def users(self, now_s: float) -> int:
        """Users present at `now_s`."""
        share = min(1.0, now_s / self._duration_s)
        moved = (self._end - self._start) * share
        return self._start + (math.floor(moved) if moved >= 0 else math.ceil(moved))
