"""What a load can say before it runs: how long its arrivals alone take, and what is odd about them.

Said on the terminal before anything waits, and kept in the notes.
"""

import math
from typing import Final, Protocol, runtime_checkable

from dspark_bench.config.point_config import PointConfig
from dspark_bench.config.sizes import round_size
from dspark_bench.core.protocols import Load
from dspark_bench.measure.rounds import Style, most_served, turn_style

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
    """The load's own notes, and how long its arrivals take over all turns of an arm."""
    if not isinstance(load, ForeseenLoad):
        return ()
    notes = load.notes(point.num_requests)
    num_turns, num_requests = _turns(point, load)
    turn_s = load.last_arrival_s(num_requests)
    if turn_s == 0:
        return notes
    most = "" if point.measure.precision is None else "at most "
    waits = (
        f"load={point.load.name}: arrivals alone take {duration(turn_s)} a turn, {most}"
        f"{duration(arrivals_s(point, load))} for each arm, the baseline too ({most}{num_turns} "
        "turns and warm-up)"
    )
    return (*notes, waits)


def arrivals_s(point: PointConfig, load: Load) -> float:
    """Seconds that the arrivals of one arm take in all its turns, at most."""
    if not isinstance(load, ForeseenLoad):
        return 0.0
    num_turns, num_requests = _turns(point, load)
    num_warmup = min(warmup_size(point, load.max_concurrency), point.num_requests)
    warmup_s = load.last_arrival_s(num_warmup) if num_warmup else 0.0
    return num_turns * load.last_arrival_s(num_requests) + warmup_s


def _turns(point: PointConfig, load: Load) -> tuple[int, int]:
    """Timed turns of one arm, at most, and the requests of each."""
    concurrency = load.max_concurrency
    served, style = most_served(point, concurrency), turn_style(point, concurrency)
    size = point.num_requests
    if style is Style.ONE_BY_ONE:
        size = 1
    elif style is Style.TOGETHER and point.measure.precision is not None:
        size = min(round_size(concurrency), size)
    return served // size, size


def duration(seconds: float) -> str:
    """Such as `12.5 s`, `4 min`, `2 h 5 min`."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = math.ceil(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if minutes < 120 else f"{hours} h {rest} min"
