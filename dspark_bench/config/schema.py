"""The structured root of every configuration, so that `gamma=two` is refused when composed.

Groups that hold plug-ins are open dictionaries, because a user's class takes keys of its own.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

CONFIG_NAME = "config"
LAUNCH_NAME = "launch"
"""The small root of what Hydra launches: composing it takes a third of the time."""
ROOT_SCHEMA = "root_schema"
GROUPS = (
    "target",
    "drafter",
    "tree",
    "scheduler",
    "cost",
    "calibrator",
    "load",
    "lengths",
    "workload",
    "acceptance",
    "engine",
    "measure",
    "slo",
    "train",
    "experiment",
)


@dataclass
class TargetSettings:
    """Group `target`."""

    path: str | None = None
    backend: str = "auto"


@dataclass
class EngineSettings:
    """Group `engine`."""

    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    kernels: str = "auto"
    prefill_tokens: int | None = 512


@dataclass
class MeasureSettings:
    """Group `measure`; counts, and the limits of a turn."""

    precision: float | None = 0.05
    max_rounds: int = 12
    repeats: int = 3
    max_arms: int = 8
    copies: int = 1
    copy: int = 0
    copy_noise: str = "shared"
    warmup_requests: int = 2
    calibration_requests: int = 72
    calibration_concurrency: int = 24
    agreement_requests: int = 8
    law_tokens: int = 4096
    max_turn_s: float | None = None
    max_waiting: int | None = None
    time_limit_s: float | None = None


@dataclass
class SloSettings:
    """Group `slo`; seconds."""

    ttft_s: float | None = None
    tpot_s: float | None = None


@dataclass
class TrainSettings:
    """Group `train`; minutes: wall time of a target's training; steps: of a drafter's;
    responses: texts that the target writes for it.
    """

    work: str = "train_work"
    out: str | None = None
    minutes: float = 30.0
    steps: int = 2200
    responses: int = 5000
    threads: int | None = None


@dataclass
class RootConfig:
    """Every key that a command line may name. Units and ranges: conf/config.yaml."""

    gamma: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    max_new_tokens: int = 128
    num_requests: int | None = None
    name: str | None = None
    results_dir: str = "results"
    target: TargetSettings = field(default_factory=TargetSettings)
    drafter: dict[str, Any] = field(default_factory=dict)
    tree: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    calibrator: dict[str, Any] = field(default_factory=dict)
    load: dict[str, Any] = field(default_factory=dict)
    lengths: dict[str, Any] = field(default_factory=dict)
    workload: dict[str, Any] = field(default_factory=dict)
    acceptance: dict[str, Any] = field(default_factory=dict)
    engine: EngineSettings = field(default_factory=EngineSettings)
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    slo: SloSettings = field(default_factory=SloSettings)
    train: TrainSettings = field(default_factory=TrainSettings)


def register_schema() -> None:
    """Make the root known to Hydra. Repeating it changes nothing."""
    ConfigStore.instance().store(name=ROOT_SCHEMA, node=RootConfig)
