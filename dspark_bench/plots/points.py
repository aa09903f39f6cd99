"""One point's files, and the columns that figures need beside those of summary.csv."""

from pathlib import Path
from typing import Any

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.json_text import load_json

_PREFIXES = ("scheduler.", "cost.", "calibrator.", "lengths.")
_KEYS = (
    *("target", "acceptance", "cost", "calibrator", "lengths", "top_p", "top_k"),
    *("max_new_tokens", "num_requests"),
)
_OBJECTS = (
    *("point", "facts", "summary", "counts", "intervals"),
    *("positions", "position_counts", "position_intervals"),
)
_CURVES = ("positions", "position_counts")
STAGES = ("t_draft_s", "t_schedule_s", "t_verify_s", "t_accept_s", "t_engine_s")


def point_columns(row: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    """Settings that only metrics.json names, `n_units` behind the intervals (of prompts or A-B
    blocks), and `cycle_s` as the sum of the stages for points that do not store it.
    """
    found: dict[str, Any] = {}
    keys = _part(_part(metrics, "point"), "keys")
    for name, value in keys.items():
        is_setting = name in _KEYS or (name.startswith(_PREFIXES) and not name.endswith("_target_"))
        if is_setting and not isinstance(value, list | dict):
            found[name] = value
    path = keys.get("target.path")
    if isinstance(path, str):
        found["target"] = Path(path).name
    n = _part(_part(metrics, "intervals"), "speedup").get("n")
    found["n_units"] = float(n) if isinstance(n, int | float) else float("nan")
    stages = [row.get(name) for name in STAGES]
    if all(isinstance(stage, int | float) for stage in stages):
        found["cycle_s"] = sum(stages)
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ResultsError."""
    try:
        content = load_json(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise ResultsError(f"cannot read {path}: expected a JSON object")
    return content


def read_metrics(path: Path) -> dict[str, Any]:
    """A metrics.json whose parts are what they must be. Raises ResultsError."""
    content = read_json(path)
    for name in _OBJECTS:
        if not isinstance(content.get(name, {}), dict):
            raise ResultsError(f"{path} is damaged: {name} is no object")
    for name in _CURVES:
        for key, curve in content.get(name, {}).items():
            if not isinstance(curve, list) or not all(map(_is_number, curve)):
                raise ResultsError(f"{path} is damaged: {name}.{key} is no list of numbers")
    for name in ("intervals", "position_intervals"):
        for key, part in content.get(name, {}).items():
            if not isinstance(part, dict):
                raise ResultsError(f"{path} is damaged: {name}.{key} is no object")
            for bound in ("low", "high"):
                values = part.get(bound)
                if not all(map(_is_number, values if isinstance(values, list) else [values])):
                    raise ResultsError(f"{path} is damaged: {name}.{key}.{bound} is no number")
    return content


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def read_table(path: Path, columns: set[str]) -> pd.DataFrame | None:
    """A CSV file of a point; None if it is not there.

    Raises ResultsError if it cannot be read or lacks a column.
    """
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
    missing = columns - set(table.columns)
    if missing:
        raise ResultsError(f"cannot read {path}: no column {', '.join(sorted(missing))}")
    return table


def _part(content: dict[str, Any], name: str) -> dict[str, Any]:
    """A nested object; empty if it is absent or no object."""
    part = content.get(name)
    return part if isinstance(part, dict) else {}
