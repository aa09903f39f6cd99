"""Single files of a results folder, each read whole or refused with one line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.json_text import load_json

_OBJECTS = (
    *("point", "facts", "summary", "counts", "intervals"),
    *("positions", "position_counts", "position_intervals"),
)
_CURVES = ("positions", "position_counts")
_INTERVALS = ("intervals", "position_intervals")


def read_object(path: Path) -> dict[str, Any] | str:
    """A JSON object, or what is wrong with the file in words that name it."""
    try:
        content = load_json(path)
    except (OSError, ValueError) as error:
        return f"cannot read {path.name} ({reason_of(error)})"
    return content if isinstance(content, dict) else f"cannot read {path.name} (not an object)"


def read_point_file(path: Path) -> dict[str, Any] | str:
    """metrics.json or error.json whose parts are what they must be, or what is wrong with it."""
    content = read_object(path)
    if isinstance(content, str):
        return content
    wrong = _wrong_part(content)
    return f"{path.name} is damaged: {wrong}" if wrong else content


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


def part_of(content: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A nested object; empty if it is absent or no object."""
    value: Any = content
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, dict) else {}


def reason_of(error: Exception) -> str:
    """The first line of what an error says, without the path."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return (reason or type(error).__name__).splitlines()[0]


def _wrong_part(content: Mapping[str, Any]) -> str:
    """The first part that is not what readers count on; empty if all are."""
    for name in _OBJECTS:
        if not isinstance(content.get(name, {}), dict):
            return f"{name} is no object"
    keys = part_of(content, "point").get("keys", {})
    if not isinstance(keys, dict):
        return "point.keys is no object"
    for name in _CURVES:
        for key, curve in part_of(content, name).items():
            if not isinstance(curve, list) or not all(map(_is_number, curve)):
                return f"{name}.{key} is no list of numbers"
    for name in _INTERVALS:
        for key, part in part_of(content, name).items():
            if not isinstance(part, dict):
                return f"{name}.{key} is no object"
            for bound in ("low", "high"):
                values = part.get(bound)
                if not all(map(_is_number, values if isinstance(values, list) else [values])):
                    return f"{name}.{key}.{bound} is no number"
    return ""


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
