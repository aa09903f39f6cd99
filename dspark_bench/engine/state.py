"""What the engine remembers of a running request, and who may start next."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Load
from dspark_bench.core.random_streams import Floats, noise_block, request_key
from dspark_bench.core.types import Request, RequestRecord
from dspark_bench.models.kv_cache import KVCache

NOISE_BLOCK = 32


@dataclass(slots=True)
class ActiveRequest:
    """A request that holds a cache row. Mutated by the engine, once per cycle.

    context_len: tokens run through the target, which is also the anchor's position;
    anchor: last emitted token, not yet run through the target; -1 before the prompt has been read;
    cycle: how many cycles it has had, the prompt's included; noise: drawn for a block of cycles.
    """

    request: Request
    row: int
    key: int
    scheduled_s: float
    admitted_s: float
    context_len: int = 0
    anchor: int = -1
    cycle: int = 0
    first_token_s: float = 0.0
    noise: Floats | None = None
    output: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)

    @property
    def needs_prefill(self) -> bool:
        """Whether its prompt has not been read yet."""
        return self.context_len == 0

    @property
    def num_remaining(self) -> int:
        """Tokens it may still emit."""
        return self.request.max_new_tokens - len(self.output)

    def noise_row(self, num_slots: int) -> Floats:
        """This cycle's random numbers [2K + 1]; draws the next block when the last is used up."""
        place = self.cycle % NOISE_BLOCK
        if place == 0 or self.noise is None:
            self.noise = noise_block(self.key, self.cycle - place, NOISE_BLOCK, num_slots)
        row: Floats = self.noise[place]
        return row

    def finish(self, reason: str, now_s: float) -> RequestRecord:
        """The record of the finished request."""
        return RequestRecord(
            request_id=self.request.request_id,
            prompt_id=self.request.prompt_id,
            domain=self.request.domain,
            num_prompt_tokens=len(self.request.prompt_tokens),
            output_tokens=tuple(self.output),
            finish_reason=reason,
            scheduled_s=self.scheduled_s,
            admitted_s=self.admitted_s,
            first_token_s=self.first_token_s,
            finished_s=now_s,
            margins=tuple(self.margins),
        )


class Batcher:
    """Admits requests in order, as the load schedules them and cache rows become free.

    A request that finds no free row waits; none is ever dropped.
    """

    def __init__(
        self, requests: Sequence[Request], load: Load, cache: KVCache, seed: int, num_spare: int
    ) -> None:
        """num_spare: positions that a cycle may write past the last emitted token."""
        self.active: list[ActiveRequest] = []
        self._load = load
        self._cache = cache
        self._seed = seed
        self._num_requests = len(requests)
        self._num_finished = 0
        self._num_started = 0
        self._waiting: deque[tuple[Request, float]] = deque()
        self._future = deque(requests)
        load.start(len(requests))
        for request in requests:
            _check_fits(request, cache.max_len, num_spare)

    @property
    def is_done(self) -> bool:
        """Whether every request has finished."""
        return self._num_finished == self._num_requests

    @property
    def num_waiting(self) -> int:
        """Requests that have arrived and hold no row."""
        return len(self._waiting)

    def admit(self, now_s: float) -> None:
        """Move what is due into the queue and from there into free rows."""
        due = self._load.due(now_s, self._num_finished)
        while self._num_started < due:
            scheduled = self._load.scheduled_s(self._num_started, now_s)
            self._waiting.append((self._future.popleft(), scheduled))
            self._num_started += 1
        limit = self._load.max_concurrency
        while self._waiting and self._cache.num_free and len(self.active) < limit:
            request, scheduled = self._waiting.popleft()
            key = request_key(self._seed, request.request_id)
            row = self._cache.acquire()
            self.active.append(ActiveRequest(request, row, key, scheduled, now_s))
            self.active.sort(key=lambda state: state.row)  # neighbouring rows need no gathering

    def next_event_s(self, now_s: float) -> float | None:
        """When the next request falls due by itself."""
        return self._load.next_event_s(now_s, self._num_started)

    def retire(self, finished: Sequence[ActiveRequest]) -> None:
        """Free the rows of finished requests."""
        for state in finished:
            self._cache.release(state.row)
        gone = {state.row for state in finished}
        self.active = [state for state in self.active if state.row not in gone]
        self._num_finished += len(finished)


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
