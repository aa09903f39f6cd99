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
