"""What determines a point's result, as a hash: the same point has the same id in every sweep."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspark_bench.config.point_config import PLUGIN_GROUPS, Component, PointConfig
from dspark_bench.measure.build_prompts import build_prompts
from dspark_bench.measure.calibration_file import FILE_NAME, find_calibration
from dspark_bench.measure.plugin_sources import source_hash
from dspark_bench.models.checkpoint import content_hash
from dspark_bench.workloads.requests import requests_hash

SCHEMA_VERSION = 1
_LEFT_OUT = ("name", "results_dir")
_IN_PROMPTS = ("too_long", "max_prompt_tokens", "system_prompt")
"""Keys of workloads that change nothing but the tokens of the prompts, which are hashed."""
_NO_RESULT = ("time_limit_s", "law_tokens", "max_arms")


@dataclass(frozen=True, slots=True)
class Identity:
    """Hashes of 16 hex digits; drafter_hash is empty for a drafter without files.

    prompts_hash: of the run's requests alone; plugin_hashes: of the source files of a user's own
    classes, empty where the class is ours; temperatures: of the calibration that the point reads.
    """

    point_id: str
    target_hash: str
    drafter_hash: str
    prompts_hash: str
    plugin_hashes: tuple[str, ...] = ()
    temperatures: tuple[float, ...] | None = None


class HashCache:
    """Hashes of checkpoints and of plug-ins' sources, each read once."""

    def __init__(self) -> None:
        self._hashes: dict[Path, str] = {}
        self._sources: dict[str, str] = {}

    def checkpoint(self, directory: Path) -> str:
        """Content hash of a checkpoint."""
        key = directory.resolve()
        if key not in self._hashes:
            self._hashes[key] = content_hash(directory)
        return self._hashes[key]

    def drafter(self, point: PointConfig) -> str:
        """Hash of the drafter's files; a user's class may have any, in any format."""
        path = point.drafter_dir
        if path is None:
            return ""
        if point.drafter.is_own:
            return self.checkpoint(path)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        files = [file for file in files if file.name != FILE_NAME]
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]

    def plugin(self, component: Component) -> str:
        """Hash of the sources of a user's own class: editing them makes another point."""
        path = component.class_path
        if path is None or component.is_own:
            return ""
        if path not in self._sources:
            self._sources[path] = source_hash(path)
        return self._sources[path]


def identify(point: PointConfig, hashes: HashCache) -> Identity:
    """Identity of a checked point. Reads checkpoints and prompts, but builds no model."""
    target = hashes.checkpoint(point.target_dir)
    drafter = hashes.drafter(point)
    prompts = build_prompts(point)
    prompts_hash = requests_hash(prompts.requests)
    found = find_calibration(point, target, drafter)
    plugins = tuple(getattr(point, group) for group in _hashed_groups(point))
    plugin_hashes = tuple(hashes.plugin(component) for component in plugins)
    temperatures = None if found.stored is None else found.stored.temperatures
    determinants = {
        "schema": SCHEMA_VERSION,
        "values": _without_paths(point),
        "target": target,
        "drafter": drafter,
        "prompts": prompts_hash,
        "calibration_prompts": requests_hash(prompts.calibration),
        "plugins": plugin_hashes,
        "calibration": temperatures,
    }
    domains = [request.domain for request in prompts.requests]
    if point.has_prompt_file and len(set(domains)) > 1:  # a file's may be named otherwise tomorrow
        determinants["domains"] = domains
    text = json.dumps(determinants, sort_keys=True, default=str)
    point_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Identity(point_id, target, drafter, prompts_hash, plugin_hashes, temperatures)


def _without_paths(point: PointConfig) -> dict[str, Any]:
    """The configuration without names, places, gamma where nothing is drafted, and no tree.

    A trace and a cost file count by their content, and so does what the keys of `_IN_PROMPTS` make
    of the prompts; a time limit changes no result within it, nor does how much of the output is
    judged afterwards.
    """
    kept = {key: value for key, value in point.values.items() if key not in _LEFT_OUT}
    kept["measure"] = {k: v for k, v in kept["measure"].items() if k not in _NO_RESULT}
    for group in ("target", "drafter", "workload", "calibrator", "acceptance"):
        kept[group] = {k: v for k, v in kept[group].items() if k != "path"}
    kept["workload"] = {k: v for k, v in kept["workload"].items() if k not in _IN_PROMPTS}
    for group in ("load", "lengths", "cost"):
        path = kept[group].get("path")
        if isinstance(path, str) and Path(path).is_file():
            kept[group] = kept[group] | {"path": _file_hash(Path(path))}
    if not point.has_drafter:
        kept["gamma"] = None
    if not point.has_tree:
        del kept["tree"]
    return kept


def _hashed_groups(point: PointConfig) -> list[str]:
    """Groups whose classes are part of a point, chains being what they were without trees."""
    left_out = {"workload"} if point.has_tree else {"workload", "tree"}
    return [group for group in PLUGIN_GROUPS if group not in left_out]


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
