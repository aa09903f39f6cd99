"""What a load can say before it runs: how long its arrivals alone take, and what is odd about them.

Said on the terminal before anything waits, and kept in the notes.
"""

import math
from typing import Final, Protocol, runtime_checkable

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.protocols import Load
from dspark_bench.measure.turns import ARMS

_MOST_DRAWN: Final = 10_000_000
"""No workload has more prompts, so a larger number is for the workload to refuse."""


@runtime_checkable
class ForeseenLoad(Protocol):
    """A load whose arrivals do not depend on the engine, or only by being later."""

    def last_arrival_s(self, num_requests: int) -> float:
        """Seconds that a run waits for its last request at least. Raises UsageError for too many
        requests.
        """
        ...

    def notes(self, num_requests: int) -> tuple[str, ...]:
        """What a reader must know about the arrivals of a run."""
        ...


def warmup_size(point: PointConfig, concurrency: int) -> int:
    """Requests of a warm-up turn: one per place at least, unless there is none."""
    asked = point.measure.warmup_requests
    return max(asked, concurrency) if asked > 0 else 0


def check_arrivals(point: PointConfig, load: Load) -> None:
    """Raise UsageError if the load has fewer arrivals than there are requests."""
    if isinstance(load, ForeseenLoad) and point.num_requests <= _MOST_DRAWN:
        load.last_arrival_s(point.num_requests)


def arrival_notes(point: PointConfig, load: Load) -> tuple[str, ...]:
    """The load's own notes, and how long its arrivals take over all turns of the point."""
    if not isinstance(load, ForeseenLoad):
        return ()
    num_requests, repeats = point.num_requests, point.measure.repeats
    turn_s = load.last_arrival_s(num_requests)
    if turn_s == 0:
        return load.notes(num_requests)
    num_warmup = min(warmup_size(point, load.max_concurrency), num_requests)
    warmup_s = load.last_arrival_s(num_warmup) if num_warmup else 0.0
    all_s = len(ARMS) * (repeats * turn_s + warmup_s)
    waits = (
        f"load={point.load.name}: arrivals alone take {duration(turn_s)} a turn, {duration(all_s)} "
        f"in all turns ({len(ARMS)} arms, measure.repeats={repeats}, warm-up)"
    )
    return (*load.notes(num_requests), waits)


def duration(seconds: float) -> str:
    """Such as `12.5 s`, `4 min`, `2 h 5 min`."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = math.ceil(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if minutes < 120 else f"{hours} h {rest} min"
