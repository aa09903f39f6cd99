"""What a results folder holds, as plain values: points, sweeps, and what could not be read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.reading.origin import Origin
from dspark_bench.reading.rows import (
    FINISHED,
    INTERRUPTED,
    PENDING,
    STALE,
    TIMING_INVALID,
    Row,
    cell_text,
)

STALE_REASON: Final = (
    "stale: measured by other code or on another machine than the sweep's last run; --fresh "
    "measures it again"
)
INVALID_REASON: Final = (
    "timing_invalid: another timed run shared the machine; --fresh measures it again"
)


@dataclass(frozen=True, slots=True)
class Point:
    """One point by its own files.

    row: as `rows.point_row` makes it, with the columns of `names.name_files`; metrics, environment:
    empty if there is no such file; status: one of finished, interrupted, failed, stale,
    timing_invalid, unreadable; message: why a point failed or cannot be read; origin: where it was
    measured; names: what files given by path are called, by key (`drafter.path`).
    """

    sweep: str
    folder: Path
    row: Row
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any]
    status: str
    message: str | None = None
    origin: Origin = Origin()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def point_id(self) -> str:
        """16 hex digits."""
        return str(self.row["point_id"])

    @property
    def measurement(self) -> tuple[str, str]:
        """The same for copies of one measurement in several sweeps."""
        return self.point_id, self.text("speedup")

    @property
    def keys(self) -> Mapping[str, Any]:
        """The resolved configuration, flattened; empty if unreadable."""
        found = self.metric("point.keys")
        return found if isinstance(found, dict) else {}

    @property
    def is_measured(self) -> bool:
        """Whether the point has figures at all."""
        return self.status in (FINISHED, STALE, TIMING_INVALID, INTERRUPTED)

    @property
    def obstacle(self) -> str | None:
        """Why no figure, ranking or comparison draws on the point; None where they do.

        One rule for all readers: tables show such a point with its state, and nothing else does.
        One that was interrupted has fewer rounds, all of them whole: it is used, and named.
        """
        if self.status in (FINISHED, INTERRUPTED):
            return INVALID_REASON if self.row.get("timing_invalid") is True else None
        known = {STALE: STALE_REASON, TIMING_INVALID: INVALID_REASON}
        return known.get(self.status) or f"status {self.status}: {self.message}"

    def text(self, column: str) -> str:
        """A cell of the row as summary.csv has it; empty where there is none."""
        return cell_text(self.row.get(column))

    def number(self, column: str) -> float | None:
        """A cell of the row as a number; None where it is none."""
        value = self.row.get(column)
        if value is None or isinstance(value, bool):
            return None
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None

    def metric(self, path: str) -> Any:
        """A value of metrics.json by its dotted path; None where there is none."""
        value: Any = self.metrics
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def block(self, name: str) -> Mapping[str, Any]:
        """An object of metrics.json; empty where there is none, as in older results."""
        found = self.metrics.get(name)
        return found if isinstance(found, dict) else {}

    @property
    def level(self) -> float:
        """What each of its intervals covers: 0.95, or more where several looks share the error."""
        return self.number("ci_level") or SHARE

    def interval(self, figure: str) -> Interval:
        """A figure with its interval and the units behind it."""
        ends = (self.number(f"{figure}_ci_low"), self.number(f"{figure}_ci_high"))
        return Interval(self.number(figure), *ends, self.num_units(figure) or 0)

    def num_units(self, figure: str) -> int | None:
        """Resampling units behind a figure's interval."""
        n = self.metric(f"intervals.{figure}.n")
        return int(n) if isinstance(n, int | float) else None


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep's folder. description: sweep.json, empty if unreadable; problem: why it is."""

    name: str
    folder: Path
    description: Mapping[str, Any]
    points: tuple[Point, ...]
    problem: str | None = None

    @property
    def pending(self) -> tuple[str, ...]:
        """Ids of points that were asked for and have not been measured."""
        return self._absent(is_pending=True)

    @property
    def lost(self) -> tuple[str, ...]:
        """Ids of points that were there once and whose folders are gone."""
        return self._absent(is_pending=False)

    def _absent(self, is_pending: bool) -> tuple[str, ...]:
        known = {point.point_id for point in self.points}
        ids = [
            str(entry.get("point_id"))
            for entry in plan_entries(self.description)
            if (entry.get("status", PENDING) == PENDING) is is_pending
        ]
        return tuple(point_id for point_id in dict.fromkeys(ids) if point_id not in known)


def plan_entries(description: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The points that a sweep.json plans, with their states as of its last writing."""
    found = description.get("points")
    entries = found if isinstance(found, list) else []
    return tuple(e for e in entries if isinstance(e, dict) and isinstance(e.get("point_id"), str))


@dataclass(frozen=True, slots=True)
class Gathered:
    """Sweeps at or below `paths`; problems: what could not be read, one line each; hidden: names of
    sweeps that came with the package and are not shown.
    """

    paths: tuple[Path, ...]
    sweeps: tuple[Sweep, ...]
    problems: tuple[str, ...]
    hidden: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The first of the folders read."""
        return self.paths[0]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of all sweeps."""
        return tuple(point for sweep in self.sweeps for point in sweep.points)
