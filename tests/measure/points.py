"""A point of the tiny checkpoints as its parts: configuration, identity, built objects."""

from dataclasses import dataclass
from pathlib import Path

from dspark_bench.commands.sweep_plan import plan_sweep
from dspark_bench.config.point_config import PointConfig
from dspark_bench.measure.build import ModelCache, PointObjects, build_point
from dspark_bench.measure.identity import HashCache, Identity
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


@dataclass(frozen=True, slots=True)
class Built:
    """One point, ready to be measured."""

    point: PointConfig
    identity: Identity
    objects: PointObjects


def plan(zoo: TinyZoo, folder: Path, *more: str) -> tuple[PointConfig, Identity]:
    """The only point that the overrides name."""
    _, (planned,) = plan_sweep(tiny_overrides(zoo, folder, *more), HashCache())
    return planned.config, planned.identity


def built(zoo: TinyZoo, folder: Path, *more: str) -> Built:
    """The same with its models and prompts."""
    point, identity = plan(zoo, folder, *more)
    return Built(point, identity, build_point(point, ModelCache()))
