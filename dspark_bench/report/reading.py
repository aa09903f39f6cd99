"""Everything that a results folder says, unusable points included, with what could not be read.

A report shows failures too, so this reading leaves nothing out: a damaged file becomes a named
problem, and only a folder without a single readable sweep is an error.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.files import not_special
from dspark_bench.core.json_text import load_json
from dspark_bench.plots.results import find_sweeps, unlisted_points

FINISHED, FAILED, STALE, TIMING_INVALID = "finished", "failed", "stale", "timing_invalid"
PENDING, UNREADABLE = "pending", "unreadable"
NEEDED_COLUMNS = ("point_id", "drafter", "gamma", "speedup", "status")


@dataclass(frozen=True, slots=True)
class Point:
    """One row of summary.csv with the point's own files.

    row: cells as text; metrics, environment: empty if there is no such file; status: the row's, or
    `timing_invalid`, or `unreadable` where metrics.json is damaged; message: of a failed point.
    """

    sweep: str
    folder: Path
    row: Mapping[str, str]
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any]
    status: str
    message: str | None = None

    @property
    def point_id(self) -> str:
        """16 hex digits."""
        return self.row["point_id"]

    @property
    def measurement(self) -> tuple[str, str]:
        """The same for copies of one measurement in several sweeps."""
        return self.point_id, self.text("speedup")

    @property
    def keys(self) -> Mapping[str, Any]:
        """The resolved configuration, flattened; empty if unreadable."""
        found = _at(self.metrics, "point", "keys")
        return found if isinstance(found, dict) else {}

    @property
    def is_measured(self) -> bool:
        """Whether the point has figures at all."""
        return self.status in (FINISHED, STALE, TIMING_INVALID, UNREADABLE)

    def text(self, column: str) -> str:
        """A cell of summary.csv; empty where there is none."""
        return self.row.get(column) or ""

    def number(self, column: str) -> float | None:
        """A cell of summary.csv as a number; None where it is none."""
        try:
            value = float(self.text(column))
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def metric(self, path: str) -> Any:
        """A value of metrics.json by its dotted path; None where there is none."""
        return _at(self.metrics, *path.split("."))

    def block(self, name: str) -> Mapping[str, Any]:
        """An object of metrics.json; empty where there is none, as in older results."""
        found = self.metrics.get(name)
        return found if isinstance(found, dict) else {}

    def records(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Cycles and requests, as they were recorded. Raises OSError or ValueError."""
        cycles, requests = (
            pd.read_parquet(not_special(self.folder / f"{name}.parquet"))
            for name in ("cycles", "requests")
        )
        return cycles, requests

    def num_units(self, figure: str) -> int | None:
        """Resampling units behind a figure's interval."""
        n = _at(self.metrics, "intervals", figure, "n")
        return int(n) if isinstance(n, int | float) else None


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep's folder.

    description: sweep.json, empty if unreadable; unlisted: ids of finished points that summary.csv
    does not hold, because the sweep is still running or was cut off.
    """

    name: str
    folder: Path
    description: Mapping[str, Any]
    points: tuple[Point, ...]
    unlisted: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[str, ...]:
        """Ids of points that were asked for and have not been measured."""
        known = {*(point.point_id for point in self.points), *self.unlisted}
        entries = self.description.get("points")
        planned = entries if isinstance(entries, list) else []
        ids = [str(entry.get("point_id")) for entry in planned if isinstance(entry, dict)]
        return tuple(point_id for point_id in ids if point_id not in known)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Sweeps at or below `path`; problems: files that could not be read, one line each."""

    path: Path
    sweeps: tuple[Sweep, ...]
    problems: tuple[str, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of all sweeps."""
        return tuple(point for sweep in self.sweeps for point in sweep.points)


def gather(path: Path) -> Gathered:
    """Read every sweep at or below `path`.

    Raises ResultsError if there is none, if none can be read, or if no point has figures.
    """
    sweeps: list[Sweep] = []
    problems: list[str] = []
    for folder in find_sweeps(path):
        is_root = folder == path
        name = folder.resolve().name if is_root else folder.relative_to(path).as_posix()
        rows = _read_rows(folder / "summary.csv")
        if isinstance(rows, str):
            problems.append(f"{name}: {rows}; this sweep is left out")
            continue
        description = _read_object(folder / "sweep.json")
        if isinstance(description, str):
            problems.append(f"{name}: {description}")
            description = {}
        points = [_read_point(name, folder, row) for row in rows]
        problems += [problem for _, found in points for problem in found]
        unlisted = unlisted_points(folder, {row["point_id"] for row in rows})
        sweeps.append(Sweep(name, folder, description, tuple(p for p, _ in points), unlisted))
    gathered = Gathered(path, tuple(sweeps), tuple(problems))
    if not any(point.is_measured for point in gathered.points):
        raise ResultsError(_nothing_measured(gathered))
    return gathered


def _nothing_measured(gathered: Gathered) -> str:
    num_failed = sum(point.status == FAILED for point in gathered.points)
    num_pending = sum(len(sweep.pending) for sweep in gathered.sweeps)
    state = f"{num_failed} points failed, {num_pending} were never run"
    num_unlisted = sum(len(sweep.unlisted) for sweep in gathered.sweeps)
    if num_unlisted:
        state += f", {num_unlisted} are not in summary.csv yet (the sweep's own command adds them)"
    return "; ".join([f"no measured point in {gathered.path}: {state}", *gathered.problems])


def _read_point(sweep: str, folder: Path, row: dict[str, str]) -> tuple[Point, list[str]]:
    place = folder / "points" / row["point_id"]
    status, problems, message = row["status"], [], None
    metrics: dict[str, Any] = {}
    if status == FAILED:
        error = _read_object(place / "error.json")
        message = error if isinstance(error, str) else str(error.get("message"))
    else:
        found = _read_object(place / "metrics.json")
        if row.get("timing_invalid") == "true":
            status = TIMING_INVALID
        if isinstance(found, str):
            problems.append(f"{sweep}/{row['point_id']}: {found}; the point is not ranked")
            status = UNREADABLE
        else:
            metrics = found
    environment = _read_object(place / "environment.json")
    if isinstance(environment, str):
        problems.append(f"{sweep}/{row['point_id']}: {environment}")
        environment = {}
    return Point(sweep, place, row, metrics, environment, status, message), problems


def _read_rows(path: Path) -> list[dict[str, str]] | str:
    """Rows of a summary.csv, or what is wrong with it."""
    try:
        with not_special(path).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="", strict=True)
            rows: list[dict[str, Any]] = list(reader)
            columns = reader.fieldnames or []
    except (OSError, ValueError, csv.Error) as error:
        return f"cannot read {path.name} ({_reason(error)})"
    missing = [name for name in NEEDED_COLUMNS if name not in columns]
    if missing:
        return f"cannot read {path.name} (no column {', '.join(missing)})"
    if any("" in row or not row["point_id"] for row in rows):
        return f"cannot read {path.name} (a row does not fit its header)"
    return rows


def _read_object(path: Path) -> dict[str, Any] | str:
    """A JSON object, or what is wrong with it."""
    try:
        content = load_json(path)
    except (OSError, ValueError) as error:
        return f"cannot read {path.name} ({_reason(error)})"
    return content if isinstance(content, dict) else f"cannot read {path.name} (not an object)"


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return (reason or type(error).__name__).splitlines()[0]


def _at(content: Mapping[str, Any], *names: str) -> Any:
    """A nested value, or None."""
    value: Any = content
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
