"""The points of a results folder as the gate sees them: who they are, and their counts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.files import not_special
from dspark_bench.gate.counts import PromptCounts, collect_counts
from dspark_bench.gate.speed import SpeedUnits, collect_speed
from dspark_bench.plots.points import read_json
from dspark_bench.plots.results import find_sweeps

NO_DRAFTER: Final = "none"
MAX_GAMMA: Final = 4096
MAX_NAME_LENGTH: Final = 200
REPLAY: Final = "replay"
STALE: Final = "stale"
_UNNAMED: Final = ("name", "results_dir", "num_requests", "seed", "target", "experiment")
_UNNAMED_GROUPS: Final = ("acceptance", "engine", "measure", "slo", "train")
_SCHEDULING_GROUPS: Final = ("cost", "calibrator")
"""What a fixed draft length does not read."""


@dataclass(frozen=True, slots=True)
class PointIdentity:
    """What two points must share to be compared, and what is worth saying if they do not.

    schema_version: of the results; draws: what decides the random draws beside the prompts.
    """

    schema_version: int
    target_hash: str
    drafter_hash: str
    acceptance: str
    continuations_hash: str
    draws: str
    dtype: str
    device: str

    @property
    def is_replay(self) -> bool:
        """Whether drafts were judged along recorded outputs."""
        return self.acceptance == REPLAY


@dataclass(frozen=True, slots=True)
class GatePoint:
    """One finished point.

    keys: its configuration without places, sizes and randomness, which names it on both sides.
    """

    label: str
    point_id: str
    gamma: int
    keys: dict[str, Any]
    identity: PointIdentity
    counts: PromptCounts
    speed: SpeedUnits | None


def read_points(path: Path) -> list[GatePoint]:
    """Every point with a drafter at or below a results folder.

    Raises ResultsError if there is none, or if one failed, is unfinished, is of older code than the
    sweep's last run, or cannot be read: what is missing must not pass.
    """
    points = []
    for folder in find_sweeps(path):
        entries = _planned(folder / "sweep.json")
        _refuse_stale(entries, folder)
        planned = [str(entry["point_id"]) for entry in entries]
        present = [p.name for p in sorted((folder / "points").glob("[!.]*")) if p.is_dir()]
        for point_id in dict.fromkeys([*planned, *present]):
            point = _read_point(folder / "points" / point_id)
            if point is not None:
                points.append(point)
    if not points:
        raise ResultsError(f"no point with a drafter in {path}: nothing to check")
    return points


def _planned(path: Path) -> list[dict[str, Any]]:
    """The sweep's points with their states; an id is one folder's name."""
    entries = read_json(path).get("points", [])
    if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
        names = [entry.get("point_id") for entry in entries]
        if all(isinstance(name, str) and _is_folder_name(name) for name in names):
            return entries
    raise ResultsError(f"{path} is damaged: points must list objects with a point_id")


def _is_folder_name(name: str) -> bool:
    return Path(name).name == name != ".." and len(name) <= MAX_NAME_LENGTH


def _refuse_stale(entries: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Figures of older code must not speak for the code that is checked."""
    stale = [entry["point_id"] for entry in entries if entry.get("status") == STALE]
    if stale:
        raise ResultsError(
            f"{len(stale)} points of {folder} are stale: measured by other code or on another "
            f"machine ({', '.join(map(str, stale))}); sweep --fresh measures them again"
        )


def _read_point(folder: Path) -> GatePoint | None:
    """None for `drafter=none`."""
    if not (folder / "metrics.json").is_file():
        raise ResultsError(f"point {folder.name} of {folder.parents[1]} {_failure(folder)}")
    metrics = read_json(folder / "metrics.json")
    try:
        keys = dict(metrics["point"]["keys"])
        if keys["drafter"] == NO_DRAFTER:
            return None
        facts: Mapping[str, Any] = metrics["facts"]
        gamma = check_gamma(int(keys["gamma"]))
        is_selective = _is_selective(metrics)
        concurrency = int(facts.get("concurrency") or 1)
        identity = PointIdentity(
            schema_version=int(metrics["schema_version"]),
            target_hash=str(facts["target_hash"]),
            drafter_hash=str(facts["drafter_hash"]),
            acceptance=str(keys.get("acceptance", "exact")),
            continuations_hash=str(facts.get("continuations_hash") or ""),
            draws=json.dumps([keys.get("seed"), keys.get("acceptance.seed", 0)]),
            dtype=str(facts["dtype"]),
            device=str(facts["device"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ResultsError(f"{folder / 'metrics.json'} is damaged: {error!r}") from error
    cycles, requests = (_read_frame(folder / f"{name}.parquet") for name in ("cycles", "requests"))
    try:
        counts = collect_counts(cycles, requests, gamma, is_selective)
        speed = collect_speed(cycles, requests, keys, facts, concurrency)
    except KeyError as error:
        raise ResultsError(f"records of {folder} have no column {error}") from error
    except ResultsError as error:
        raise ResultsError(f"{folder}: {error}") from error
    return GatePoint(
        label=_label(keys),
        point_id=folder.name,
        gamma=gamma,
        keys={key: value for key, value in keys.items() if _names_point(key, keys)},
        identity=identity,
        counts=counts,
        speed=speed,
    )


def check_gamma(gamma: int) -> int:
    """The same number. Raises ValueError for one that no draft has."""
    if not 1 <= gamma <= MAX_GAMMA:
        raise ValueError(f"gamma is {gamma}; valid: 1 to {MAX_GAMMA}")
    return gamma


def _is_selective(metrics: Mapping[str, Any]) -> bool:
    """Whether confidences shaped some cycles: then only full-width ones speak of the drafter."""
    counts = metrics.get("counts", {})
    return bool(counts.get("trial_cycles", 0) < counts.get("cycles", 0))


def _names_point(key: str, keys: Mapping[str, Any]) -> bool:
    """Whether a key says which point this is: not where, how large, by what class or by chance."""
    group = key.partition(".")[0]
    if key in _UNNAMED or group in _UNNAMED_GROUPS or key.endswith((".path", "._target_")):
        return False
    return group not in _SCHEDULING_GROUPS or keys.get("scheduler") != "fixed"


def _label(keys: Mapping[str, Any]) -> str:
    parts = [f"{keys['drafter']} gamma={keys['gamma']} {keys.get('workload', '')}".strip()]
    if keys.get("scheduler") not in (None, "fixed"):
        parts.append(f"scheduler={keys['scheduler']}")
    parts += [
        f"{name}={keys[name]}"
        for name, usual in (("temperature", 1.0), ("top_p", 1.0), ("top_k", 0))
        if keys.get(name, usual) != usual
    ]
    return " ".join(parts)


def _failure(folder: Path) -> str:
    error = folder / "error.json"
    if error.is_file():
        return f"failed: {read_json(error).get('message')}"
    return "is not finished: it has no metrics.json"


def _read_frame(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(not_special(path))
    except FileNotFoundError as error:
        raise ResultsError(f"{path} is missing; the gate needs the records") from error
    except Exception as error:  # a damaged file raises whatever the parquet reader meets
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResultsError(f"cannot read {path}: {reason}") from error
