"""Reads folders of results: every sweep and point, with what could not be read named."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.wording import number_of
from dspark_bench.reading.files import part_of, read_object, read_point_file
from dspark_bench.reading.names import name_files
from dspark_bench.reading.origin import FoundSweep, discover, origin_of, told_apart
from dspark_bench.reading.points import Gathered, Point, Sweep, plan_entries
from dspark_bench.reading.rows import (
    FAILED,
    GENERATION,
    STALE,
    UNREADABLE,
    Row,
    measured_status,
    point_row,
    with_regret,
)
from dspark_bench.reading.verdicts import VERDICTS

_METRICS, _ERROR, _ENVIRONMENT = "metrics.json", "error.json", "environment.json"
_LARGEST = 2**63
_PROBLEMS_NAMED = 3


def gather(path: Path | Sequence[Path], here: str | None = None) -> Gathered:
    """Everything at or below one folder or several. here: machine_id of the machine that asks.

    Raises ResultsError if there is no sweep, or if no point has figures.
    """
    gathered = read_sweeps(path, here)
    if not any(point.is_measured for point in gathered.points):
        raise ResultsError(_nothing_measured(gathered))
    return gathered


def read_sweeps(path: Path | Sequence[Path], here: str | None = None) -> Gathered:
    """The same, also if nothing was measured. Raises ResultsError if there is no sweep."""
    paths = (path,) if isinstance(path, Path) else tuple(path)
    found, hidden = discover(paths)
    sweeps, problems = [], []
    for item in found:
        sweep, own = _read_sweep(item, here)
        sweeps.append(sweep)
        problems += own
    return Gathered(paths, tuple(_with_names(sweeps)), tuple(problems), hidden)


def _with_names(sweeps: Sequence[Sweep]) -> list[Sweep]:
    """Sweeps whose points say what their files and machines are called among all of them."""
    points = [point for sweep in sweeps for point in sweep.points]
    origins = told_apart([point.origin for point in points])
    named = iter([replace(p, origin=origins[p.origin]) for p in name_files(points)])
    return [replace(sweep, points=tuple(next(named) for _ in sweep.points)) for sweep in sweeps]


def _read_sweep(found: FoundSweep, here: str | None) -> tuple[Sweep, list[str]]:
    name, folder = found.name, found.folder
    description = read_object(folder / "sweep.json")
    problem = description if isinstance(description, str) else None
    description = {} if isinstance(description, str) else description
    problems = [] if problem is None else [f"{name}: {problem}"]
    points = []
    for place in sorted((folder / "points").glob("[!.]*")):
        if place.is_dir():
            point, own = _read_point(found, place, description, here)
            points.append(point)
            problems += own
    rows = with_regret([point.row for point in points], _swept_keys(description))
    points = [replace(point, row=row) for point, row in zip(points, rows, strict=True)]
    sweep = Sweep(name, folder, description, tuple(points), problem)
    if sweep.lost:
        problems.append(
            f"{name}: {_named(sweep.lost)} {'was' if len(sweep.lost) == 1 else 'were'} measured, "
            "but the folder in points/ is gone"
        )
    return sweep, problems


def _read_point(
    found: FoundSweep, place: Path, sweep: Mapping[str, Any], here: str | None
) -> tuple[Point, list[str]]:
    label = f"{found.name}/{place.name}"
    problems: list[str] = []
    message: str | None = None
    environment = read_object(place / _ENVIRONMENT)
    if isinstance(environment, str):
        problems.append(f"{label}: {environment}")
        environment = {}
    name = _content_name(place)
    content = read_point_file(place / name) if name else f"has neither {_METRICS} nor {_ERROR}"
    if isinstance(content, str):
        problems.append(f"{label}: {content}; the point is not shown")
        status, message = UNREADABLE, content
        content = {}
    elif name == _METRICS:
        status = _status(place.name, content, sweep, environment)
    else:
        status, message = FAILED, str(content.get("message"))
    verdicts = found.folder.parent / VERDICTS
    row = point_row(place.name, content, _swept_keys(sweep), status, verdicts)
    origin = origin_of(environment, here, found.is_shipped)
    point = Point(found.name, place, _plain(row), content, environment, status, message, origin)
    return point, problems


def _content_name(place: Path) -> str:
    """metrics.json, else error.json; empty if there is neither."""
    there = (n for n in (_METRICS, _ERROR) if (place / n).exists() or (place / n).is_symlink())
    return next(there, "")


def _status(
    point_id: str,
    content: Mapping[str, Any],
    sweep: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> str:
    """Stale by what environment.json and sweep.json say; by the plan where one does not."""
    if not all(sweep.get(name) and environment.get(name) for name in GENERATION):
        planned = {entry.get("point_id"): entry.get("status") for entry in plan_entries(sweep)}
        if planned.get(point_id) == STALE:
            return STALE
    return measured_status(part_of(content, "facts"), sweep, environment)


def _swept_keys(sweep: Mapping[str, Any]) -> list[str]:
    keys = sweep.get("swept_keys")
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []


def _plain(row: Row) -> Row:
    """A row whose every value can stand in a table: finite numbers, texts, true, false or none."""
    return {str(key): _plain_value(value) for key, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return None
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _nothing_measured(gathered: Gathered) -> str:
    states = [point.status for point in gathered.points]
    num_pending = sum(len(sweep.pending) for sweep in gathered.sweeps)
    state = f"{number_of(states.count(FAILED), 'point')} failed, {num_pending} never run"
    if UNREADABLE in states:
        state += f", {states.count(UNREADABLE)} cannot be read"
    where = ", ".join(map(str, gathered.paths))
    told = list(gathered.problems[:_PROBLEMS_NAMED])
    more = len(gathered.problems) - len(told)
    told += [f"and {more} more"] if more else []
    return "; ".join([f"no measured point in {where}: {state}", *told])


def _named(point_ids: Sequence[str]) -> str:
    shown = ", ".join(point_ids[:_PROBLEMS_NAMED])
    more = len(point_ids) - _PROBLEMS_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
