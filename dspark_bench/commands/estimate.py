"""How long points will take, from what points have taken on this machine.

A point's time is taken to grow with its output tokens, requests x tokens x repeats of both arms.
Of the points measured here, those of the folder at hand are asked first, then those beside it;
among these, those with the same drafter, scheduler and load.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from dspark_bench.config.point_config import PointConfig
from dspark_bench.machine.environment import Environment
from dspark_bench.store.point_store import POINTS, PointStore, StoredPoint, flatten

LEAST_S: Final = 3.0
"""Seconds that loading and warming up take however little is measured."""
RULE: Final = f"scaled by requests x tokens x repeats, at least {LEAST_S:.0f} s a point"
_LIKENESS = ("drafter", "scheduler", "load", "load.concurrency", "load.rate")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a point has taken. wall_s: its whole time, seconds; work: requests x tokens x repeats;
    alike: what tells slow points from fast ones; is_near: measured in the folder at hand.
    """

    wall_s: float
    work: int
    alike: tuple[str, ...]
    is_near: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds for all points, how many measured points speak for it, and by which rule."""

    total_s: float
    num_known: int
    rule: str = RULE


def measured_points(
    folders: Sequence[Path], results_dir: Path, environment: Environment
) -> list[Measured]:
    """Finished points of this machine, in `folders` and elsewhere below `results_dir`."""
    depths = (f"*/{POINTS}", f"*/*/{POINTS}")  # a sweep's folder, and one of a suite
    beside = [path.parent for depth in depths for path in sorted(results_dir.glob(depth))]
    found = []
    for folder in dict.fromkeys([*folders, *beside]):
        for stored in PointStore(folder).load_all():
            if stored.environment.get("machine_id") == environment.machine_id:
                measured = _measured(stored, folder in folders)
                found += [] if measured is None else [measured]
    return found


def estimate(points: Sequence[PointConfig], known: Sequence[Measured]) -> Estimate | None:
    """Time of `points`, one after the other; None where nothing measured allows a guess."""
    if not points or not known:
        return None
    total_s = sum(_point_s(point, known) for point in points)
    return Estimate(total_s, len(known))


def _point_s(point: PointConfig, known: Sequence[Measured]) -> float:
    alike = _alike({**flatten(point.values), **point.choices})
    kept = [measured for measured in known if measured.is_near] or known
    kept = [measured for measured in kept if measured.alike == alike] or kept
    work = point.num_requests * point.max_new_tokens * point.measure.repeats
    return max(LEAST_S, median(one.wall_s * work / one.work for one in kept))


def _measured(stored: StoredPoint, is_near: bool) -> Measured | None:
    keys, facts = stored.content["point"]["keys"], stored.content.get("facts", {})
    numbers = [keys.get(k) for k in ("num_requests", "max_new_tokens", "measure.repeats")]
    wall_s = facts.get("wall_s")
    if not stored.is_finished or not all(_is_count(number) for number in numbers):
        return None
    if not isinstance(wall_s, float | int) or wall_s <= 0:
        return None
    work = numbers[0] * numbers[1] * numbers[2]
    return Measured(float(wall_s), work, _alike(keys), is_near)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def _alike(keys: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(keys.get(key)) for key in _LIKENESS)
