"""Read-only view of `results/`: one sweep's folder, or a folder that holds several.

A file of the sweep that cannot be read is an error; a point that cannot be used is left out and
named. Plots, reports and gates start here.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dspark_bench.core.errors import ResultsError

UNUSABLE_STATUS = ("failed", "stale", "running", "pending", "interrupted")


@dataclass(frozen=True, slots=True)
class SkippedPoint:
    """A point that is not shown, and why."""

    sweep: str
    point_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.sweep}/{self.point_id}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Results:
    """What a folder holds.

    rows: summary.csv of every sweep in one frame, with the column `sweep` (folder name); metrics:
    metrics.json by (sweep, point_id); skipped: points without usable figures.
    """

    path: Path
    rows: pd.DataFrame
    metrics: dict[tuple[str, str], dict[str, Any]]
    skipped: tuple[SkippedPoint, ...]


def load_results(path: Path) -> Results:
    """Read a sweep's folder, or every sweep below a folder.

    Raises ResultsError if there is none, if a sweep.json or summary.csv cannot be read, or if no
    point is usable.
    """
    frames: list[pd.DataFrame] = []
    metrics: dict[tuple[str, str], dict[str, Any]] = {}
    skipped: list[SkippedPoint] = []
    for folder in find_sweeps(path):
        name = _sweep_name(folder, path)
        _read_json(folder / "sweep.json")
        rows = _read_summary(folder / "summary.csv")
        usable = []
        for row in rows.to_dict(orient="records"):
            found = _read_point(folder, {str(key): value for key, value in row.items()})
            usable.append(not isinstance(found, str))
            if isinstance(found, str):
                skipped.append(SkippedPoint(name, str(row["point_id"]), found))
            else:
                metrics[name, str(row["point_id"])] = found
        frames.append(rows[usable].assign(sweep=name))
    if not metrics:
        reasons = "; ".join(map(str, skipped)) or "summary.csv has no rows"
        raise ResultsError(f"no usable point in {path}: {reasons}")
    used = [frame for frame in frames if len(frame)]
    return Results(path, pd.concat(used, ignore_index=True), metrics, tuple(skipped))


def find_sweeps(path: Path) -> list[Path]:
    """Folders at or below `path` that hold a sweep.json. Raises ResultsError if there is none."""
    if not path.is_dir():
        raise ResultsError(f"{path} is not a folder; valid: results/<name> or a folder of sweeps")
    found = sorted(file.parent for file in path.rglob("sweep.json"))
    if not found:
        raise ResultsError(f"no sweep in {path}: neither it nor a folder below has a sweep.json")
    return found


def _sweep_name(folder: Path, root: Path) -> str:
    return folder.resolve().name if folder == root else folder.relative_to(root).as_posix()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise ResultsError(f"cannot read {path}: expected a JSON object")
    return content


def _read_summary(path: Path) -> pd.DataFrame:
    identifiers = dict.fromkeys(("point_id", "target_hash", "drafter_hash"), str)
    try:
        rows = pd.read_csv(path, dtype=identifiers, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
    missing = {"point_id", "drafter", "gamma", "speedup"} - set(rows.columns)
    if missing:
        raise ResultsError(f"cannot read {path}: no column {', '.join(sorted(missing))}")
    return rows


def _read_point(folder: Path, row: dict[str, Any]) -> dict[str, Any] | str:
    """metrics.json of a row's point, or why the point cannot be used."""
    if str(row.get("status")) in UNUSABLE_STATUS:
        return _failure(folder / "points" / str(row["point_id"]), f"status {row['status']}")
    if str(row.get("timing_invalid")).lower() == "true":
        return "timing invalid: another run shared the machine"
    try:
        return _read_json(folder / "points" / str(row["point_id"]) / "metrics.json")
    except ResultsError as error:
        return str(error)


def _failure(point: Path, status: str) -> str:
    try:
        message = _read_json(point / "error.json").get("message")
    except ResultsError:
        return status
    return f"{status}: {message}" if message else status
