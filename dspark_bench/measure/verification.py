"""Where the verdicts of `dspark-bench verify` lie, and which points they speak for."""

import hashlib
from pathlib import Path
from typing import Any

from dspark_bench.config.point_config import Component, PointConfig
from dspark_bench.core.json_text import load_json
from dspark_bench.machine.environment import code_hash
from dspark_bench.measure.identity import Identity

VERDICTS = "verify"


def verification_path(point: PointConfig, identity: Identity) -> Path:
    """The file that `verify` writes for this code, models, plug-ins, gamma and sampling."""
    parts = [
        code_hash(),
        identity.target_hash,
        identity.drafter_hash,
        *identity.plugin_hashes,
        str(point.drafter.class_path),
        str(without_path(point.drafter)),
        f"{point.gamma} {point.sampling} {point.engine.dtype} {point.engine.device}",
        str(point.scheduler),
        str(point.cost),
        f"{point.calibrator.class_path} {without_path(point.calibrator)}",
        f"{point.acceptance.class_path} {without_path(point.acceptance)}",
    ]
    digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
    name = f"{point.drafter.name}-{point.scheduler.name}-{digest}.json"
    return point.results_dir / VERDICTS / name


def without_path(component: Component) -> dict[str, Any]:
    """A component's keys but its path: another place for the same file is no other component."""
    return {key: value for key, value in component.arguments.items() if key != "path"}


def find_verification(path: Path) -> bool | None:
    """Whether the distribution checks passed; None if they have not been run."""
    try:
        found = load_json(path)
    except (OSError, ValueError):
        return None
    passed = found.get("passed") if isinstance(found, dict) else None
    return passed if isinstance(passed, bool) else None
