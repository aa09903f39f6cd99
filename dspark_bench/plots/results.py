"""Results as one frame of rows, which every kind of figure chooses from.

A point that cannot be used is left out and named.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.wording import number_of
from dspark_bench.plots.columns import point_columns
from dspark_bench.reading.gather import read_sweeps
from dspark_bench.reading.points import Gathered, Point

MOST_REASONS = 3


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
"""Sweep (name below the folder) and point_id."""


@dataclass(frozen=True, slots=True)
class Results:
    """What a folder holds.

    rows: the points' rows in one frame, with the columns that `columns.point_columns` adds and
    `sweep`, `machine_id`, `code_hash` and `machine`; metrics: metrics.json by point; folders: of
    the points; skipped: points and sweeps without usable figures.
    """

    path: Path
    rows: pd.DataFrame
    metrics: dict[PointKey, dict[str, Any]]
    skipped: tuple[SkippedPoint, ...]
    folders: dict[PointKey, Path] = field(default_factory=dict)


def load_results(path: Path | Sequence[Path], here: str | None = None) -> Results:
    """Read a sweep's folder, every sweep below a folder, or several such folders.

    here: machine_id of the machine that asks. Raises ResultsError if there is none, or if no point
    is usable.
    """
    gathered = read_sweeps(path, here)
    usable = [point for point in gathered.points if point.obstacle is None]
    skipped = _skipped(gathered)
    if not usable:
        where = ", ".join(map(str, gathered.paths))
        raise ResultsError(f"no usable point in {where}: {_reasons(skipped)}")
    names = dict.fromkeys(name for point in usable for name in point.row)
    empty = dict.fromkeys(names)
    keys = [(point.sweep, point.point_id) for point in usable]
    return Results(
        gathered.path,
        pd.DataFrame([empty | _record(point) for point in usable]),
        {key: dict(point.metrics) for key, point in zip(keys, usable, strict=True)},
        tuple(skipped),
        {key: point.folder for key, point in zip(keys, usable, strict=True)},
    )


def _record(point: Point) -> dict[str, Any]:
    known = {name: value for name, value in point.row.items() if value is not None}
    own = {name: point.environment.get(name) for name in ("machine_id", "code_hash")}
    place = own | {"sweep": point.sweep, "machine": _machine(point)}
    return point_columns(known, point.metrics) | known | place


def _machine(point: Point) -> str:
    return "this machine" if point.origin.is_here else point.origin.machine


def _skipped(gathered: Gathered) -> list[SkippedPoint]:
    found = [
        SkippedPoint(point.sweep, point.point_id, reason)
        for point in gathered.points
        if (reason := point.obstacle) is not None
    ]
    for sweep in gathered.sweeps:
        num_pending, total = len(sweep.pending), len(sweep.points) + len(sweep.pending)
        reasons = [] if sweep.problem is None else [sweep.problem]
        reasons += [f"point {point_id} is gone from points/" for point_id in sweep.lost]
        reasons += (
            [f"{num_pending} of {number_of(total, 'point')} not measured yet"]
            if num_pending
            else []
        )
        found += [SkippedPoint(sweep.name, "", reason) for reason in reasons]
    if gathered.hidden:
        what = (
            f"{len(gathered.hidden)} sweeps came with dspark-bench; name their folder to see them"
        )
        folders = sorted({name.partition("/")[0] for name in gathered.hidden})
        found.append(SkippedPoint(", ".join(f"{name}/" for name in folders), "", what))
    return found


def _reasons(skipped: Sequence[SkippedPoint]) -> str:
    """Why nothing is left, in a line that can be read."""
    told = "; ".join(map(str, skipped[:MOST_REASONS])) or "points/ is empty"
    num_others = len(skipped) - MOST_REASONS
    return f"{told}; and {num_others} more" if num_others > 0 else told
