"""Step-cost surfaces: measured once per machine, model and setting, kept, and checked before use.

They lie below the results folder, in `.costs/`, one file per fingerprint.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.costs.surface_file import read_surface
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.short_drafts import always_full
from dspark_bench.engine.surface import measure_surface
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.machine.environment import Environment
from dspark_bench.measure.build import PointObjects
from dspark_bench.measure.identity import Identity
from dspark_bench.measure.turns import garbage_kept, repeat_seed

FOLDER = ".costs"
CYCLES_PER_CELL = 20
_CHECK_CYCLES = 4
STALE_RATIO = 1.25
"""A kept surface is measured again if a few cycles now differ from it by more than this factor."""
NO_PROMPTS = (
    "cost=profiled needs prompts to profile with; measure.calibration_requests is 0 or the "
    "workload has none set aside"
)
_PROFILE_REPEAT = -3


@dataclass(frozen=True, slots=True)
class ProfiledSurface:
    """A surface, where it came from (`measured` or `kept`), its file, and what was wrong."""

    surface: CostSurface
    origin: str
    path: Path
    note: str | None = None


def surface_for(
    point: PointConfig, objects: PointObjects, identity: Identity, environment: Environment
) -> ProfiledSurface:
    """The kept surface if it is sound and still fits this machine, else a new one, which is kept.

    Allocates the drafter's cache anew: call it before anything is timed. Raises UsageError where
    there is no drafter or no prompt to profile with.
    """
    path = (
        point.results_dir / FOLDER / f"{_fingerprint(point, objects, identity, environment)}.json"
    )
    if not path.is_file():
        return measure_and_keep(point, objects, identity, environment)
    try:
        kept = read_surface(path)
    except UsageError:
        measured = measure_and_keep(point, objects, identity, environment)
        return replace(measured, note=f"{path.name} was damaged and has been measured again")
    if _still_fits(kept, point, objects):
        return ProfiledSurface(kept, "kept", path)
    return measure_and_keep(point, objects, identity, environment)


def measure_and_keep(
    point: PointConfig, objects: PointObjects, identity: Identity, environment: Environment
) -> ProfiledSurface:
    """Measure a surface and write it to its place."""
    path = (
        point.results_dir / FOLDER / f"{_fingerprint(point, objects, identity, environment)}.json"
    )
    surface = measure_surface_now(point, objects)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    aside.write_text(json.dumps({"surface": asdict(surface)}, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)
    return ProfiledSurface(surface, "measured", path)


def measure_surface_now(point: PointConfig, objects: PointObjects) -> CostSurface:
    """A surface of the machine as it is, kept nowhere."""
    return _measure(point, objects, objects.load.max_concurrency, CYCLES_PER_CELL)


def _still_fits(kept: CostSurface, point: PointConfig, objects: PointObjects) -> bool:
    """Whether a few cycles of a full batch take about as long as when it was measured."""
    now = _measure_largest(point, objects, objects.load.max_concurrency)
    then = kept.step_s[-1]
    ratio = median(a / b for a, b in zip(now, then, strict=True))
    return 1 / STALE_RATIO <= ratio <= STALE_RATIO


def _measure_largest(point: PointConfig, objects: PointObjects, size: int) -> tuple[float, ...]:
    surface = _measure(point, objects, size, _CHECK_CYCLES, only_largest=True)
    return surface.step_s[-1]


def _measure(
    point: PointConfig,
    objects: PointObjects,
    largest: int,
    cycles_per_cell: int,
    only_largest: bool = False,
) -> CostSurface:
    prompts = objects.prompts.calibration
    if objects.drafter is None:
        raise UsageError("drafter=none has no step costs to profile; choose a drafter")
    if not prompts:
        raise UsageError(NO_PROMPTS)
    drafter = always_full(objects.drafter)
    longest = max(len(prompt.prompt_tokens) + prompt.max_new_tokens for prompt in prompts)
    room = longest + point.gamma + 1
    seed = repeat_seed(point.seed, _PROFILE_REPEAT)

    def serve(size: int, scheduler: Scheduler, requests: Sequence[Request]) -> RunResult:
        engine = Engine(
            objects.target,
            drafter,
            scheduler,
            objects.acceptance,
            point.sampling,
            point.gamma,
            EngineConfig(size, room),
            objects.clock,
        )
        with garbage_kept():
            return engine.run(requests, ClosedLoad(size), seed)

    return measure_surface(serve, prompts, largest, point.gamma, cycles_per_cell, only_largest)


def _fingerprint(
    point: PointConfig, objects: PointObjects, identity: Identity, environment: Environment
) -> str:
    """Whatever a step's cost depends on: machine, code, models, precision, threads, sampling."""
    parts: dict[str, Any] = {
        "machine": environment.machine_id,
        "code": environment.code_hash,
        "torch": environment.torch_build,
        "threads": torch.get_num_threads(),
        "target": identity.target_hash,
        "drafter": f"{point.drafter}/{identity.drafter_hash}",
        "dtype": str(objects.target.dtype),
        "device": str(objects.target.device),
        "kernels": objects.target.kernel_choice.name,
        "sampling": asdict(point.sampling),
        "gamma": point.gamma,
        "requests": objects.load.max_concurrency,
        "workload": str(point.workload),
        "new_tokens": point.max_new_tokens,
    }
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
