"""Where verdicts on exactness lie, and which points they speak for.

A verdict holds only for what it checked: its file is named by a hash over everything that could
change it, the code and the machine among it. Another key has a verdict of its own.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dspark_bench.config.point_config import Component, PointConfig
from dspark_bench.engine.exactness import CheckResult
from dspark_bench.machine.environment import Environment
from dspark_bench.measure.identity import Identity
from dspark_bench.reading.verdicts import VERDICTS


def verdict_path(point: PointConfig, identity: Identity, environment: Environment) -> Path:
    """The verdict's file for this code, machine, models, plug-ins, calibration, gamma and
    sampling, for requests alone or in a batch.
    """
    parts = [
        *_place(environment),
        "alone" if _is_alone(point) else "batched",
        identity.target_hash,
        identity.drafter_hash,
        *identity.plugin_hashes,
        str(point.drafter.class_path),
        str(without_path(point.drafter)),
        f"{point.gamma} {point.sampling} {point.engine.dtype} {point.engine.device} "
        f"{point.engine.kernels} {point.engine.prefill_tokens}",
        *_scheduling(point),
        f"{point.calibrator.class_path} {without_path(point.calibrator)}",
        str(identity.temperatures),
    ]
    return _path(point, f"{point.drafter.name}-{point.scheduler.name}", parts)


def scheduler_verdict_path(
    point: PointConfig, identity: Identity, environment: Environment
) -> Path:
    """The file of what was found of the scheduler alone, with a drafter of known law."""
    parts = [
        *_place(environment),
        *identity.plugin_hashes,
        str(point.gamma),
        *_scheduling(point),
        f"{point.calibrator.class_path} {without_path(point.calibrator)}",
    ]
    return _path(point, f"scheduler-{point.scheduler.name}", parts)


def without_path(component: Component) -> dict[str, Any]:
    """A component's keys but its path: another place for the same file is no other component."""
    return {key: value for key, value in component.arguments.items() if key != "path"}


def write_verdict(path: Path, results: Sequence[CheckResult]) -> None:
    """Keep a verdict: it passed if every check did. Raises OSError."""
    verdict = {
        "passed": all(result.is_passed for result in results),
        "checks": [asdict(result) for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        aside.write_text(json.dumps(verdict, indent=2) + "\n", encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _place(environment: Environment) -> tuple[str, str, str]:
    return environment.code_hash, environment.machine_id, environment.torch_build


def _is_alone(point: PointConfig) -> bool:
    """Whether every request had the batch for itself: a drafter may mix up rows only in company."""
    return point.load.name == "closed" and point.load.arguments.get("concurrency") == 1


def _scheduling(point: PointConfig) -> tuple[str, ...]:
    rule = f"{point.acceptance.class_path} {without_path(point.acceptance)}"
    tree = (str(point.tree),) if point.has_tree else ()
    return str(point.scheduler), str(point.cost), rule, *tree


def _path(point: PointConfig, name: str, parts: Sequence[str]) -> Path:
    digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
    return point.results_dir / VERDICTS / f"{name}-{digest}.json"
