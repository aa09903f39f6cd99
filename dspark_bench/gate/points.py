"""The points of a results folder as the gate sees them: who they are, and their counts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.wording import is_or_are, number_of
from dspark_bench.gate.counts import PromptCounts, collect_counts
from dspark_bench.gate.speed import SpeedUnits, collect_speed
from dspark_bench.reading.gather import read_sweeps
from dspark_bench.reading.points import Point, Sweep
from dspark_bench.reading.records import read_records
from dspark_bench.reading.rows import FAILED, INTERRUPTED, STALE, UNREADABLE

NO_DRAFTER: Final = "none"
NO_TREE: Final = "none"
MAX_GAMMA: Final = 4096
MAX_NAME_LENGTH: Final = 200
REPLAY: Final = "replay"
SIMULATED: Final = "forced"
VIOLATED: Final = "violated"
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
    sweep's last run, cannot be read, has simulated acceptance, or output that is not the target's:
    what is missing must not pass.
    """
    points = []
    for sweep in read_sweeps(path).sweeps:
        _check_plan(sweep)
        _refuse_stale(sweep)
        _refuse_interrupted(sweep)
        _refuse_violated(sweep)
        for point in sweep.points:
            found = _read_point(point)
            if found is not None:
                points.append(found)
        _refuse_absent(sweep)
    if not points:
        raise ResultsError(f"no point with a drafter in {path}: nothing to check")
    return points


def _check_plan(sweep: Sweep) -> None:
    """The plan must be readable: what it asked for must be there."""
    path = sweep.folder / "sweep.json"
    if sweep.problem is not None:
        raise ResultsError(f"{sweep.folder}: {sweep.problem}")
    entries = sweep.description.get("points", [])
    if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
        names = [entry.get("point_id") for entry in entries]
        if all(isinstance(name, str) and _is_folder_name(name) for name in names):
            return
    raise ResultsError(f"{path} is damaged: points must list objects with a point_id")


def _is_folder_name(name: str) -> bool:
    return Path(name).name == name != ".." and len(name) <= MAX_NAME_LENGTH


def _refuse_stale(sweep: Sweep) -> None:
    """Figures of older code must not speak for the code that is checked."""
    stale = [point.point_id for point in sweep.points if point.status == STALE]
    if stale:
        raise ResultsError(
            f"{number_of(len(stale), 'point')} of {sweep.folder} {is_or_are(len(stale))} "
            f"stale: measured by other code or on "
            f"another machine ({', '.join(stale)}); sweep --fresh measures them again"
        )


def _refuse_interrupted(sweep: Sweep) -> None:
    """Raise ResultsError for points that have not served all they were asked to."""
    cut = [point.point_id for point in sweep.points if point.status == INTERRUPTED]
    if cut:
        raise ResultsError(
            f"{number_of(len(cut), 'point')} of {sweep.folder} {is_or_are(len(cut))} "
            f"interrupted ({', '.join(cut)}); the same "
            "command goes on with them"
        )


def _refuse_violated(sweep: Sweep) -> None:
    """What was accepted on the way to wrong output is no acceptance: neither good nor bad."""
    wrong = [point.point_id for point in sweep.points if _is_violated(point)]
    if wrong:
        raise ResultsError(
            f"{number_of(len(wrong), 'point')} of {sweep.folder} emitted output that is not the "
            f"target's (lossless_evidence is {VIOLATED}): {', '.join(wrong)}; acceptance of wrong "
            "output is no evidence"
        )


def _is_violated(point: Point) -> bool:
    return point.text("lossless_evidence") == VIOLATED and point.keys.get("drafter") != NO_DRAFTER


def _refuse_absent(sweep: Sweep) -> None:
    for point_id in (*sweep.pending, *sweep.lost):
        raise ResultsError(
            f"point {point_id} of {sweep.folder} is not finished: it has no metrics.json"
        )


def _read_point(point: Point) -> GatePoint | None:
    """None for `drafter=none`."""
    folder, metrics = point.folder, point.metrics
    if point.status == FAILED:
        raise ResultsError(f"point {folder.name} of {folder.parents[1]} failed: {point.message}")
    if point.status == UNREADABLE:
        raise ResultsError(f"point {folder.name} of {folder.parents[1]}: {point.message}")
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
    if identity.acceptance == SIMULATED:
        raise ResultsError(
            f"point {folder.name} of {folder.parents[1]} has acceptance={SIMULATED}: its drafts "
            "stand by a stated profile, which says nothing of a drafter; valid: exact, replay"
        )
    cycles, requests = read_records(folder, metrics)
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
    if group == "tree" and keys.get("tree", NO_TREE) == NO_TREE:
        return False
    if key in _UNNAMED or group in _UNNAMED_GROUPS or key.endswith((".path", "._target_")):
        return False
    return group not in _SCHEDULING_GROUPS or keys.get("scheduler") != "fixed"


def _label(keys: Mapping[str, Any]) -> str:
    parts = [f"{keys['drafter']} gamma={keys['gamma']} {keys.get('workload', '')}".strip()]
    if keys.get("scheduler") not in (None, "fixed"):
        parts.append(f"scheduler={keys['scheduler']}")
    if keys.get("tree", NO_TREE) != NO_TREE:
        parts.append(f"tree={keys['tree']}")
        parts += [f"{name}={keys[name]}" for name in ("tree.nodes",) if name in keys]
    parts += [
        f"{name}={keys[name]}"
        for name, usual in (("temperature", 1.0), ("top_p", 1.0), ("top_k", 0))
        if keys.get(name, usual) != usual
    ]
    return " ".join(parts)
