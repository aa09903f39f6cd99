"""The baseline as one small JSON file: counts by prompt, and hashes of what they are of."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.files import not_special
from dspark_bench.core.json_text import load_json
from dspark_bench.gate.counts import FIELDS, MAX_COUNT, Counts, PromptCounts, check_counts
from dspark_bench.gate.points import GatePoint, PointIdentity, check_gamma
from dspark_bench.gate.speed import SpeedUnits
from dspark_bench.metrics.sums import FloatArray

FORMAT: Final = "dspark-bench baseline"
VERSION: Final = 1
_HEAD_LENGTH: Final = 200


def write_baseline(path: Path, points: Sequence[GatePoint]) -> None:
    """Write the file whole. Raises ResultsError if it cannot be written."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "points": [_point_json(point) for point in points],
    }
    text = _dump(content)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


def is_baseline(path: Path) -> bool:
    """Whether a file begins as `write_baseline` writes it, however it goes on."""
    try:
        with not_special(path).open(encoding="utf-8", errors="replace") as file:
            return f'"format": "{FORMAT}"' in file.read(_HEAD_LENGTH)
    except OSError:
        return False


def read_baseline(path: Path) -> list[GatePoint]:
    """Points of a baseline file. Raises ResultsError if it is damaged or of another version."""
    try:
        content = load_json(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot read baseline {path}: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ResultsError(f"{path} is no baseline; valid: a file that check --update wrote")
    if content.get("version") != VERSION:
        raise ResultsError(f"{path} has version {content.get('version')}; valid: {VERSION}")
    try:
        points = [_read_point(entry) for entry in content["points"]]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ResultsError(f"baseline {path} is damaged: {error!r}") from error
    if not points:
        raise ResultsError(f"baseline {path} holds no point")
    return points


def _point_json(point: GatePoint) -> dict[str, Any]:
    counts, speed = point.counts, point.speed
    return {
        "label": point.label,
        "point_id": point.point_id,
        "gamma": point.gamma,
        "keys": point.keys,
        "identity": asdict(point.identity),
        "prompts": list(counts.prompts),
        "prompt_hashes": list(counts.hashes),
        "repeats": [
            {
                name: _numbers(getattr(repeat, name))
                for name in ("cycles", *FIELDS)
                if name == "cycles" or np.any(getattr(repeat, name))
            }
            for repeat in counts.repeats
        ],
        "speed": None
        if speed is None
        else {
            "labels": list(speed.labels),
            "is_by_prompt": speed.is_by_prompt,
            "table": [[round(value, 6) for value in row] for row in speed.table.tolist()],
        },
    }


def _read_point(entry: dict[str, Any]) -> GatePoint:
    prompts = tuple(map(str, entry["prompts"]))
    hashes = tuple(map(str, entry["prompt_hashes"]))
    gamma = check_gamma(int(entry["gamma"]))
    shape = (len(prompts), gamma)
    repeats = tuple(_read_counts(repeat, shape) for repeat in entry["repeats"])
    is_one_each = len(hashes) == len(prompts) == len(set(prompts))
    if not is_one_each or not prompts or not repeats:
        raise ValueError("prompts, prompt_hashes and repeats do not fit together")
    label = entry["label"]
    if not isinstance(label, str) or not label.isprintable():
        raise ValueError(f"label is {label!r}; valid: one line of text")
    return GatePoint(
        label=label,
        point_id=str(entry["point_id"]),
        gamma=gamma,
        keys=dict(entry["keys"]),
        identity=PointIdentity(**entry["identity"]),
        counts=PromptCounts(prompts, hashes, repeats),
        speed=_read_speed(entry.get("speed")),
    )


def _read_speed(speed: dict[str, Any] | None) -> SpeedUnits | None:
    if speed is None:
        return None
    labels = tuple(map(str, speed["labels"]))
    table = _table(speed["table"], (len(labels), 4))
    if len(set(labels)) != len(labels):
        raise ValueError("speed holds a unit twice")
    return SpeedUnits(labels, bool(speed["is_by_prompt"]), table)


def _read_counts(repeat: dict[str, Any], shape: tuple[int, int]) -> Counts:
    tables = [_table(repeat[name], shape) if name in repeat else np.zeros(shape) for name in FIELDS]
    counts = Counts(_table(repeat["cycles"], shape[:1]), *tables)
    check_counts(counts)
    return counts


def _table(values: object, shape: tuple[int, ...]) -> FloatArray:
    table = np.asarray(values, dtype=np.float64)
    if table.shape != shape or not ((table >= 0) & (table <= MAX_COUNT)).all():
        valid = f"{shape}, numbers from 0 to {MAX_COUNT:g}"
        raise ValueError(f"a table of shape {table.shape}; valid: {valid}")
    return table


def _numbers(table: FloatArray) -> Any:
    """Whole numbers as such; others to 9 decimals, far below anything that is compared."""
    if table.ndim > 1:
        return [_numbers(row) for row in table]
    return [int(v) if float(v).is_integer() else round(float(v), 9) for v in table]


def _dump(content: dict[str, Any]) -> str:
    """Lists of numbers on one line each: a file that differs readably."""

    def lines(value: Any, indent: str) -> str:
        deeper = indent + " "
        if isinstance(value, dict) and value:
            parts = [f"{deeper}{json.dumps(k)}: {lines(v, deeper)}" for k, v in value.items()]
            return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
        if isinstance(value, list) and value and isinstance(value[0], dict | list):
            parts = [deeper + lines(item, deeper) for item in value]
            return "[\n" + ",\n".join(parts) + f"\n{indent}]"
        if isinstance(value, float) and not math.isfinite(value):
            return "null"
        return json.dumps(value, separators=(",", ":"))

    return lines(content, "") + "\n"
