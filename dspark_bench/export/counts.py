"""Counts by draft position that a point kept, if they can be counts at all."""

import math
from itertools import pairwise
from typing import Any

from dspark_bench.reading.points import Point


def trial_cycles(point: Point) -> int:
    """Cycles that speak of acceptance; 0 where they were not kept."""
    found = point.metric("counts.trial_cycles")
    return int(found) if _is_count(found) else 0


def accepted_counts(point: Point) -> tuple[float, ...]:
    """Cycles [gamma] that accepted at least k drafts; empty where they were not kept."""
    found = _by_position(point, "accepted")
    falls = all(a >= b for a, b in pairwise((trial_cycles(point), *found)))
    return found if falls else ()


def rejected_counts(point: Point) -> tuple[float, ...]:
    """Cycles [gamma] that rejected the draft at k; empty where they were not kept."""
    return _by_position(point, "rejected")


def _by_position(point: Point, name: str) -> tuple[float, ...]:
    found, gamma = point.metric(f"position_counts.{name}"), point.number("gamma")
    if not isinstance(found, list) or gamma is None or len(found) != gamma:
        return ()
    return tuple(found) if all(map(_is_count, found)) else ()


def _is_count(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= 0
