"""Read-only view of `results/`: one sweep's folder, or a folder that holds several.

A point that cannot be used is left out and named; so is a sweep that cannot be read, if others can.
Plots, reports and gates start here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.files import not_special
from dspark_bench.plots.points import point_columns, read_json, read_metrics

MOST_REASONS = 3
UNUSABLE_STATUS = ("failed", "stale", "running", "pending", "interrupted")
_IDENTIFIERS = ("point_id", "target_hash", "drafter_hash", "prompts_hash")


@dataclass(frozen=True, slots=True)
class SkippedPoint:
    """A point that is not shown, or a whole sweep (no point_id), and why."""

    sweep: str
    point_id: str
    reason: str

    def __str__(self) -> str:
        name = f"{self.sweep}/{self.point_id}" if self.point_id else self.sweep
        return f"{name}: {self.reason}"


PointKey = tuple[str, str]
"""Sweep (folder name) and point_id."""


@dataclass(frozen=True, slots=True)
class Results:
    """What a folder holds.

    rows: summary.csv of every sweep in one frame, with the columns that `points.point_columns` adds
    and `sweep` (folder name), `machine_id` and `code_hash`; metrics: metrics.json by point;
    folders: of the points; skipped: points and sweeps without usable figures.
    """

    path: Path
    rows: pd.DataFrame
    metrics: dict[PointKey, dict[str, Any]]
    skipped: tuple[SkippedPoint, ...]
    folders: dict[PointKey, Path] = field(default_factory=dict)


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    records: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[PointKey, dict[str, Any]] = field(default_factory=dict)
    folders: dict[PointKey, Path] = field(default_factory=dict)
    skipped: list[SkippedPoint] = field(default_factory=list)


def load_results(path: Path | Sequence[Path]) -> Results:
    """Read a sweep's folder, every sweep below a folder, or several such folders.

    Raises ResultsError if there is none, or if no point is usable.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    found = _Reading()
    for root in paths:
        for folder in find_sweeps(root):
            name = _sweep_name(folder, root, is_alone=len(paths) == 1)
            try:
                _read_sweep(folder, name, found)
            except ResultsError as error:
                found.skipped.append(SkippedPoint(name, "", str(error)))
    where = ", ".join(map(str, paths))
    if not found.metrics:
        raise ResultsError(f"no usable point in {where}: {_reasons(found.skipped)}")
    rows = pd.DataFrame(found.records)
    return Results(paths[0], rows, found.metrics, tuple(found.skipped), found.folders)


def find_sweeps(path: Path) -> list[Path]:
    """Folders at or below `path` that hold a sweep.json. Raises ResultsError if there is none."""
    if not path.is_dir():
        raise ResultsError(f"{path} is not a folder; valid: results/<name> or a folder of sweeps")
    found = sorted(file.parent for file in path.rglob("sweep.json"))
    if not found:
        raise ResultsError(f"no sweep in {path}: neither it nor a folder below has a sweep.json")
    return found


def _read_sweep(folder: Path, name: str, found: _Reading) -> None:
    sweep = read_json(folder / "sweep.json")
    rows = _read_summary(folder / "summary.csv")
    shared = {key: sweep.get(key) for key in ("machine_id", "code_hash")} | {"sweep": name}
    for row in rows.to_dict(orient="records"):
        values = {str(key): value for key, value in row.items() if not pd.isna(value)}
        key = (name, str(values["point_id"]))
        point = folder / "points" / key[1]
        content = _read_point(point, values)
        if isinstance(content, str):
            found.skipped.append(SkippedPoint(*key, content))
            continue
        found.metrics[key], found.folders[key] = content, point
        empty = dict.fromkeys(map(str, rows.columns))
        found.records.append(empty | point_columns(values, content) | values | shared)
    reason = _missing(folder, sweep, set(map(str, rows["point_id"])))
    if reason:
        found.skipped.append(SkippedPoint(name, "", reason))


def unlisted_points(folder: Path, known: set[str]) -> tuple[str, ...]:
    """Ids of a sweep's finished points beyond those known from its summary.csv."""
    found = sorted(file.parent.name for file in folder.glob("points/[!.]*/metrics.json"))
    return tuple(name for name in found if name not in known)


def _missing(folder: Path, sweep: dict[str, Any], known: set[str]) -> str:
    """How many of a sweep's points its table lacks; empty if none."""
    unlisted = unlisted_points(folder, known)
    planned = {str(entry.get("point_id")) for entry in _entries(sweep)}
    pending = planned - known - set(unlisted)
    total = len(planned | known | set(unlisted))
    parts = [f"{len(pending)} of {total} points not measured yet"] if pending else []
    if unlisted:
        added = "not in summary.csv yet (the sweep's own command adds them)"
        parts.append(f"{len(unlisted)} of {total} points {added}")
    return "; ".join(parts)


def _entries(sweep: dict[str, Any]) -> list[dict[str, Any]]:
    points = sweep.get("points")
    entries = points if isinstance(points, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _reasons(skipped: Sequence[SkippedPoint]) -> str:
    """Why nothing is left, in a line that can be read."""
    told = "; ".join(map(str, skipped[:MOST_REASONS])) or "summary.csv has no rows"
    num_others = len(skipped) - MOST_REASONS
    return f"{told}; and {num_others} more" if num_others > 0 else told


def _sweep_name(folder: Path, root: Path, is_alone: bool) -> str:
    """Path below the root, which names itself where it is the sweep or one of several roots."""
    below = folder.relative_to(root)
    if not below.parts:
        return folder.resolve().name
    return below.as_posix() if is_alone else (Path(root.resolve().name) / below).as_posix()


def _read_summary(path: Path) -> pd.DataFrame:
    identifiers = dict.fromkeys(_IDENTIFIERS, str)
    try:
        rows = pd.read_csv(
            not_special(path), dtype=identifiers, keep_default_na=False, na_values=[""]
        )
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
    missing = {"point_id", "drafter", "gamma"} - set(rows.columns)
    if missing:
        raise ResultsError(f"cannot read {path}: no column {', '.join(sorted(missing))}")
    return rows if "speedup" in rows.columns else rows.assign(speedup=float("nan"))


def _read_point(folder: Path, row: dict[str, Any]) -> dict[str, Any] | str:
    """metrics.json of a row's point, or why the point cannot be used."""
    if str(row.get("status")) in UNUSABLE_STATUS:
        return _failure(folder, f"status {row['status']}")
    if str(row.get("timing_invalid")).lower() == "true":
        return "timing invalid: another run shared the machine"
    try:
        return read_metrics(folder / "metrics.json")
    except ResultsError as error:
        return str(error)


def _failure(point: Path, status: str) -> str:
    try:
        message = read_json(point / "error.json").get("message")
    except ResultsError:
        return status
    return f"{status}: {message}" if message else status
