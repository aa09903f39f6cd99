"""How much faster one point is than another, with the interval of that ratio."""

import math
from pathlib import Path

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.comparison import speed_by_prompt, speedup_ratio
from dspark_bench.metrics.intervals import Interval
from dspark_bench.report.reading import Point

_Z = 1.96


class SpeedCache:
    """Ratios of measured S. Tokens and seconds by prompt are read once per point."""

    def __init__(self) -> None:
        self._found: dict[Path, pd.DataFrame | None] = {}

    def ratio(self, first: Point, second: Point) -> tuple[Interval, bool]:
        """S of `first` over S of `second`, and whether it is paired by prompt.

        Paired where both points kept their times and served the same prompts one at a time;
        otherwise from both intervals.
        """
        ours, theirs = self._speeds(first), self._speeds(second)
        if ours is not None and theirs is not None and set(ours.index) == set(theirs.index):
            return speedup_ratio(ours, theirs), True
        return unpaired_ratio(measured_speedup(first), measured_speedup(second)), False

    def _speeds(self, point: Point) -> pd.DataFrame | None:
        """None where a prompt is no unit, or where the records hold no times."""
        if point.folder not in self._found:
            self._found[point.folder] = _read_speeds(point)
        return self._found[point.folder]


def measured_speedup(point: Point) -> Interval:
    """S of a row of summary.csv with its interval and units."""
    return Interval(
        point.number("speedup"),
        point.number("speedup_ci_low"),
        point.number("speedup_ci_high"),
        point.num_units("speedup") or 0,
    )


def unpaired_ratio(first: Interval, second: Interval) -> Interval:
    """first / second from their 95 % intervals, taken as independent and log-normal."""
    assert first.value is not None and second.value is not None
    value, n = first.value / second.value, min(first.n, second.n)
    ours, theirs = _log_width(first), _log_width(second)
    if ours is None or theirs is None:
        return Interval(value, None, None, n)
    spread = math.exp(_Z * math.hypot(ours, theirs))
    return Interval(value, value / spread, value * spread, n)


def _log_width(interval: Interval) -> float | None:
    """Standard error of the logarithm."""
    if not interval.low or not interval.high:
        return None
    return math.log(interval.high / interval.low) / (2 * _Z)


def _read_speeds(point: Point) -> pd.DataFrame | None:
    if (point.text("load"), point.text("concurrency")) != ("closed", "1"):
        return None
    try:
        return speed_by_prompt(*point.records())
    except (OSError, ValueError, KeyError, ResultsError):
        return None
