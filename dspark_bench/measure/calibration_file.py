"""`calibration.json`: what `dspark-bench calibrate` leaves beside a drafter, and who may use it.

One file per drafter, one entry per target and sampling. An entry speaks only for the weights that
it was fitted on: hashes of target and drafter stand in it, and another's entry is never applied.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.calibration import StoredCalibration
from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.types import SamplingParams
from dspark_bench.models.config_values import read_json

FILE_NAME: Final = "calibration.json"
FILE_SCHEMA_VERSION: Final = 1
METHOD: Final = "sequential_temperature_scaling"


@dataclass(frozen=True, slots=True)
class Found:
    """The calibration that fits a point, or None with a note that says why there is none."""

    stored: StoredCalibration | None = None
    note: str | None = None


def calibration_path(point: PointConfig) -> Path | None:
    """The file that a point reads; None where its calibrator reads none."""
    component = point.calibrator
    if not component.is_own or "path" not in component.arguments:
        return None
    path = component.arguments["path"]
    if path is not None:
        return Path(str(path))
    folder = point.drafter_dir
    return None if folder is None or not folder.is_dir() else folder / FILE_NAME


def find_calibration(point: PointConfig, target_hash: str, drafter_hash: str) -> Found:
    """The entry for these models and this sampling. Raises CheckpointError for a damaged file,
    or for a file that was named and is not there.
    """
    path = calibration_path(point)
    if path is None or not point.has_drafter:
        return Found()
    if not path.exists():
        if point.calibrator.arguments["path"] is not None:
            raise CheckpointError(f"calibrator.path is {path}: no such file; calibrate writes it")
        return Found(note=f"not calibrated: the drafter's folder holds no {FILE_NAME}")
    entries = read_entries(path)
    hashes = (target_hash, drafter_key(point, drafter_hash))
    mine = [entry for entry in entries if (entry["target_hash"], entry["drafter_hash"]) == hashes]
    if not mine:
        return Found(note=f"not calibrated: {path.name} was made for other weights")
    for entry in mine:
        if entry["sampling"] == asdict(point.sampling):
            return Found(StoredCalibration(tuple(entry["temperatures"])), _short(point, entry))
    made_for = ", ".join(_text(entry["sampling"]) for entry in mine)
    return Found(note=f"not calibrated: {path.name} was made for {made_for}")


def drafter_key(point: PointConfig, drafter_hash: str) -> str:
    """What an entry calls its drafter: the hash of its files, or its class where it has none."""
    return drafter_hash or str(point.drafter.class_path)


def read_entries(path: Path) -> list[dict[str, Any]]:
    """All entries of a file. Raises CheckpointError, one line, for one that is damaged."""
    content = read_json(path)
    version = content.get("schema_version")
    if version != FILE_SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: schema_version is {version!r}; valid: {FILE_SCHEMA_VERSION}; "
            "delete the file and calibrate again"
        )
    entries = content.get("calibrations")
    if not isinstance(entries, list) or not all(_is_sound(entry) for entry in entries):
        raise CheckpointError(
            f"{path} is damaged: calibrations must list objects with sampling, target_hash, "
            "drafter_hash and positive temperatures; delete the file and calibrate again"
        )
    return entries


def add_entry(path: Path, entry: dict[str, Any]) -> None:
    """Write `entry` in the place of its predecessor; the file changes whole or not at all.

    entry: JSON values, none of them NaN. Entries for earlier weights of the drafter go; those for
    other targets and samplings stay. Raises CheckpointError if the file is damaged or cannot be
    written.
    """
    kept = [e for e in read_entries(path) if _stays(e, entry)] if path.exists() else []
    content = {"schema_version": FILE_SCHEMA_VERSION, "calibrations": [*kept, entry]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.aside-{os.getpid()}")
        aside.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise _not_writable(path, error) from error


def check_can_write(path: Path) -> None:
    """Raise CheckpointError, before anything runs, for a file that could not be written."""
    if path.exists():
        read_entries(path)
    folder = next(p for p in (path.parent, *path.parent.absolute().parents) if p.exists())
    if not folder.is_dir() or path.is_dir() or not os.access(folder, os.W_OK):
        raise _not_writable(path, OSError("not a writable place"))


def _not_writable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write {path}: {error.strerror or error}; name another file with "
        "calibrator.path=FILE, and give the same to the runs that shall use it"
    )


def _stays(old: dict[str, Any], new: dict[str, Any]) -> bool:
    if old["drafter_hash"] != new["drafter_hash"]:
        return False
    return any(old[key] != new[key] for key in ("target_hash", "sampling"))


def _is_sound(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    temperatures = entry.get("temperatures")
    return (
        isinstance(entry.get("sampling"), dict)
        and all(isinstance(entry.get(key), str) for key in ("target_hash", "drafter_hash"))
        and isinstance(temperatures, list)
        and len(temperatures) > 0
        and all(_is_positive(value) for value in temperatures)
    )


def _is_positive(value: Any) -> bool:
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    return is_number and 0 < value <= sys.float_info.max


def _short(point: PointConfig, entry: dict[str, Any]) -> str | None:
    """A note where drafts are longer than what was calibrated."""
    length = len(entry["temperatures"])
    if point.gamma <= length:
        return None
    return f"calibrated up to position {length} of {point.gamma}; later ones keep their confidence"


def _text(sampling: dict[str, Any]) -> str:
    usual = asdict(SamplingParams())
    shown = {k: v for k, v in sampling.items() if k == "temperature" or v != usual.get(k)}
    return " ".join(f"{key}={value}" for key, value in shown.items())
