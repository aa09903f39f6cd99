"""How long points will take, from what points have taken on this machine.

A point's time is taken to grow with its output tokens, requests x tokens that its arm serves. Of
the points measured here, those of the folder at hand are asked first, then those beside it; among
these, those with the same drafter, scheduler and load. Requests that arrive by a clock are waited
for, however fast the engine: every arm of a block, its baseline too, takes at least that long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from dspark_bench.config.component import build_component
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.protocols import Load
from dspark_bench.machine.environment import Environment
from dspark_bench.measure.arrivals import arrivals_s
from dspark_bench.measure.rounds import most_served
from dspark_bench.store.point_store import POINTS, PointStore, StoredPoint, flatten

LEAST_S: Final = 3.0
"""Seconds that loading and warming up take however little is measured."""
RULE: Final = f"turns scaled by requests x tokens served, at least {LEAST_S:.0f} s a point"
AT_MOST: Final = f"{RULE}; less where measure.precision is reached early"
_LIKENESS = ("drafter", "scheduler", "load", "load.concurrency", "load.rate")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a point has taken. turns_s: its turns, seconds; fixed_s: everything else, which does not
    grow with them; work: requests served x tokens; alike: what tells slow points from fast ones;
    is_near: measured in the folder at hand.
    """

    turns_s: float
    fixed_s: float
    work: int
    alike: tuple[str, ...]
    is_near: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds for all points, how many measured points speak for it, and by which rule.

    arrivals_s: what requests that arrive by a clock take of it, in whole turns of all arms.
    """

    total_s: float
    num_known: int
    rule: str = RULE
    arrivals_s: float = 0.0


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


def estimate(blocks: Sequence[Sequence[PointConfig]], known: Sequence[Measured]) -> Estimate | None:
    """Time of blocks of points, one after the other; None where nothing allows a guess.

    Without points measured here the arrivals alone are known: a lower bound.
    """
    total_s = waits_s = 0.0
    for points in blocks:
        loads: list[Load] = [build_component("load", point.load) for point in points]
        one_s = max(arrivals_s(*pair) for pair in zip(points, loads, strict=True))
        block_s = (len(points) + 1) * one_s  # every arm and the baseline
        guesses = [_point_s(*pair, known) for pair in zip(points, loads, strict=True) if known]
        total_s += max(sum(guesses), block_s)
        waits_s += block_s
    if not blocks or not (known or waits_s):
        return None
    is_bound = any(point.measure.precision is not None for points in blocks for point in points)
    return Estimate(total_s, len(known), AT_MOST if is_bound else RULE, waits_s)


def _point_s(point: PointConfig, load: Load, known: Sequence[Measured]) -> float:
    alike = _alike({**flatten(point.values), **point.choices})
    kept = [measured for measured in known if measured.is_near] or known
    kept = [measured for measured in kept if measured.alike == alike] or kept
    work = most_served(point, load.max_concurrency) * point.max_new_tokens
    return max(LEAST_S, median(one.fixed_s + one.turns_s * work / one.work for one in kept))


def _measured(stored: StoredPoint, is_near: bool) -> Measured | None:
    keys, facts = stored.content["point"]["keys"], stored.content.get("facts", {})
    num_served = stored.content.get("summary", {}).get("n_requests")
    num_tokens, wall_s = keys.get("max_new_tokens"), facts.get("wall_s")
    if not stored.is_finished or not (_is_count(num_served) and _is_count(num_tokens)):
        return None
    if not isinstance(wall_s, float | int) or wall_s <= 0:
        return None
    turns_s = facts.get("spent_turns_s")
    turns_s = min(wall_s, turns_s) if isinstance(turns_s, float | int) else wall_s
    work = num_served * num_tokens
    return Measured(float(turns_s), float(wall_s - turns_s), work, _alike(keys), is_near)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def _alike(keys: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(keys.get(key)) for key in _LIKENESS)
