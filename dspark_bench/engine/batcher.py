"""Who may start next: requests in order, as the load schedules them and cache rows become free."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Load
from dspark_bench.core.random_streams import request_key
from dspark_bench.core.records import (
    MIN_TURN_S,
    NOT_SENT,
    REJECTED,
    STOPPED,
    RequestRecord,
    RunLimits,
)
from dspark_bench.core.types import Request
from dspark_bench.engine.plugin_checks import check_due, check_event, check_places, check_scheduled
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.models.kv_cache import KVCache

_PATIENCE_S = 1.0


class Batcher:
    """Admits requests. One that finds no free row waits, within the limits of the run.

    Those that are turned away, or still wait when the run stops, leave a record too: `unserved`.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        load: Load,
        cache: KVCache,
        seed: int,
        num_spare: int,
        limits: RunLimits,
    ) -> None:
        """num_spare: positions that a cycle may write past the last emitted token."""
        self.active: list[ActiveRequest] = []
        self.unserved: list[RequestRecord] = []
        self._load = load
        self._cache = cache
        self._draft_rows = list(range(cache.num_rows))
        self._seed = seed
        self._limits = limits
        self._num_requests = len(requests)
        self._num_finished = 0
        self._num_due = 0
        self._deadline_s = np.inf if limits.max_turn_s is None else limits.max_turn_s
        self._promised_s = np.inf
        self._is_stopped = False
        self._waiting: deque[tuple[Request, float]] = deque()
        self._future = deque(requests)
        check_places(load)
        load.start(len(requests))
        for request in requests:
            _check_fits(request, cache.max_len, num_spare)

    @property
    def is_done(self) -> bool:
        """Whether every request has finished or been given up."""
        return self._num_finished == self._num_requests

    @property
    def num_waiting(self) -> int:
        """Requests that have arrived and hold no row."""
        return len(self._waiting)

    def admit(self, now_s: float) -> None:
        """Move what is due into the queue and from there into free rows; give up the rest of it
        where a limit says so. Raises UsageError if the load counts wrongly.
        """
        if self._is_stopped:
            return
        due = self._load.due(now_s, self._num_finished)
        if due != self._num_due:
            self._arrive(due, now_s)
        if now_s >= self._deadline_s:
            self._stop()
        limit = self._load.max_concurrency
        while self._waiting and self._cache.num_free and len(self.active) < limit:
            request, scheduled = self._waiting.popleft()
            key = request_key(self._seed, request.request_id)
            row = self._cache.acquire()
            state = ActiveRequest(request, row, self._draft_rows[row], key, scheduled, now_s)
            self.active.append(state)
        self.active.sort(key=lambda state: state.row)  # neighbouring rows need no gathering
        if self._limits.max_waiting is not None:
            while len(self._waiting) > self._limits.max_waiting:
                self._give_up(*self._waiting.pop(), REJECTED)

    def wake_s(self, now_s: float) -> float:
        """While nothing runs: when to look again, at the next arrival or the end of the turn.

        Raises UsageError if the load names no time, or broke its word on one for a second.
        """
        counts = f"{self._num_due} of {self._num_requests} requests are due"
        due_s = check_event(self._load, self._load.next_event_s(now_s, self._num_due), counts)
        self._promised_s = min(self._promised_s, max(due_s, now_s))
        if now_s - self._promised_s > _PATIENCE_S:
            raise UsageError(
                f"{type(self._load).__name__} promised a request at {self._promised_s:.3f} s, but "
                f"at {now_s:.3f} s none has come ({counts}); valid: due grows by next_event_s"
            )
        return min(due_s, self._deadline_s)

    def retire(self, finished: Sequence[ActiveRequest]) -> None:
        """Free the rows of finished requests."""
        for state in finished:
            self._cache.release(state.row)
            self._draft_rows[state.row] = state.draft_row
        gone = {state.row for state in finished}
        self.active = [state for state in self.active if state.row not in gone]
        self._num_finished += len(finished)

    def _arrive(self, due: int, now_s: float) -> None:
        """Queue the requests that have fallen due since the last call."""
        check_due(self._load, due, self._num_due, self._num_requests)
        for index in range(self._num_due, due):
            scheduled = self._load.scheduled_s(index, now_s)
            check_scheduled(self._load, scheduled, index, now_s)
            self._waiting.append((self._future.popleft(), scheduled))
        self._num_due = due
        self._promised_s = np.inf
        if due == self._num_requests and self._limits.max_turn_s is None:
            self._deadline_s = max(MIN_TURN_S, 2 * self._waiting[-1][1])

    def _stop(self) -> None:
        """Start nothing more."""
        self._is_stopped = True
        while self._waiting:
            self._give_up(*self._waiting.popleft(), STOPPED)
        while self._future:
            self._give_up(self._future.popleft(), np.nan, NOT_SENT)

    def _give_up(self, request: Request, scheduled_s: float, reason: str) -> None:
        never = float("nan")
        self.unserved.append(
            RequestRecord(
                request_id=request.request_id,
                prompt_id=request.prompt_id,
                domain=request.domain,
                num_prompt_tokens=len(request.prompt_tokens),
                output_tokens=(),
                finish_reason=reason,
                scheduled_s=scheduled_s,
                admitted_s=never,
                first_token_s=never,
                finished_s=never,
            )
        )
        self._num_finished += 1


def _check_fits(request: Request, max_len: int, num_spare: int) -> None:
    needed = len(request.prompt_tokens) + request.max_new_tokens + num_spare
    if not request.prompt_tokens:
        raise UsageError(f"prompt {request.prompt_id} is empty; valid: at least one token")
    if needed > max_len:
        raise UsageError(
            f"prompt {request.prompt_id} needs {needed} cache positions "
            f"({len(request.prompt_tokens)} prompt + {request.max_new_tokens} new + {num_spare} "
            f"draft); a row has {max_len}"
        )
