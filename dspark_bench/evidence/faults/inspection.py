"""Whether what a fault has left in a results folder is whole, file by file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.results import load_results
from dspark_bench.store.point_store import POINTS, PointStore

Counts = Mapping[str, tuple[tuple[Any, ...], ...]]
"""By point: arm, repeat, request, drafted, verified, accepted, rejected, emitted of every cycle."""
_COUNTED: Final = (
    *("arm", "repeat", "block", "cycle", "request_id", "num_drafted", "verify_len"),
    *("num_accepted", "is_rejected", "num_emitted"),
)
_FILES: Final = (
    *("metrics.json", "config.yaml", "environment.json", "cycles.parquet", "requests.parquet"),
)


def problems(folder: Path, wanted_keys: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with a sweep's folder; empty if every point in it is whole.

    wanted_keys: what metrics.json must hold, as `metric_keys` gives it for a sound sweep.
    """
    found = []
    for point in _visible(folder):
        try:
            found += _point_problems(point, wanted_keys)
        except Exception as error:
            found.append(f"{point.name}: {type(error).__name__}: {error}")
    for table in ("sweep.json", "summary.csv"):
        try:
            if (folder / table).exists():
                _parse(folder / table)
        except ValueError as error:
            found.append(f"{table}: {error}")
    try:
        shown = {point_id for _, point_id in load_results(folder).metrics}
    except ResultsError:
        shown = set()
    found += [f"{point_id} is shown unfinished" for point_id in shown - set(finished(folder))]
    return found


def finished(folder: Path) -> dict[str, int]:
    """Ids of finished points, with the time in ns at which each was written."""
    stored = [point for point in PointStore(folder).load_all() if point.is_finished]
    place = folder / POINTS
    return {
        point.point_id: (place / point.point_id / "metrics.json").stat().st_mtime_ns
        for point in stored
    }


def leftovers(folder: Path) -> list[str]:
    """Files and folders that were being written."""
    return sorted(path.name for path in folder.rglob("*.aside-*"))


def counts(folder: Path) -> Counts:
    """What was drafted, accepted and emitted, cycle by cycle."""
    found = {}
    for point_id in finished(folder):
        frame = pd.read_parquet(folder / POINTS / point_id / "cycles.parquet")
        rows = frame[list(_COUNTED)].itertuples(index=False, name=None)
        found[point_id] = tuple(sorted(tuple(row) for row in rows))
    return found


def metric_keys(folder: Path) -> frozenset[str]:
    """Keys of metrics.json and of its summary, over the points of a sound sweep."""
    names: set[str] = set()
    for point_id in finished(folder):
        content = json.loads((folder / POINTS / point_id / "metrics.json").read_text("utf-8"))
        names |= _keys(content)
    return frozenset(names)


def _keys(content: Mapping[str, Any]) -> set[str]:
    return set(content) | {f"summary.{key}" for key in content["summary"]}


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / POINTS).glob("[!.]*"))


def _point_problems(point: Path, wanted_keys: frozenset[str]) -> list[str]:
    parsed = {path.name: _parse(path) for path in point.iterdir()}
    if "error.json" in parsed:
        both = [f"{point.name} has metrics and an error"] if "metrics.json" in parsed else []
        named = bool(parsed["error.json"]["message"])
        return both if named else [*both, f"{point.name}: an error without a message"]
    found = [f"{point.name}: no {name}" for name in _FILES if name not in parsed]
    if found:
        return found
    metrics, cycles, requests = (parsed[name] for name in (_FILES[0], *_FILES[3:]))
    missing = wanted_keys - _keys(metrics)
    found += [f"{point.name}: metrics.json lacks {', '.join(sorted(missing))}"] if missing else []
    if metrics["point"]["point_id"] != point.name:
        found.append(f"{point.name} holds {metrics['point']['point_id']}")
    if cycles["num_emitted"].sum() != requests["output_tokens"].map(len).sum():
        found.append(f"{point.name}: its records differ in tokens")
    return found


def _parse(path: Path) -> Any:
    """Content of a result file. Raises what its reader raises."""
    match path.suffix:
        case ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        case ".yaml":
            return yaml.safe_load(path.read_text(encoding="utf-8"))
        case ".csv":
            return pd.read_csv(path)
        case ".parquet":
            return pd.read_parquet(path)
    raise ValueError(f"{path.name} does not belong here")
