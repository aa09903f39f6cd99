"""From a configuration to live objects, and the memory of what is expensive to build.

Points of one sweep usually share their target; drafters are kept for the point at hand only.
"""

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer

from dspark_bench.core.calibration import StoredCalibration
from dspark_bench.core.clock import Clock, device_clock
from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import BenchError, UsageError
from dspark_bench.core.protocols import (
    Acceptance,
    Calibrator,
    Drafter,
    Load,
    Scheduler,
    StepCost,
)
from dspark_bench.core.types import Request
from dspark_bench.experiment.plugin_fit import (
    check_argument_types,
    check_members,
    find_class,
    parameters,
)
from dspark_bench.experiment.point_config import Component, PointConfig
from dspark_bench.experiment.processors import usable_cores
from dspark_bench.experiment.validate import check_gamma
from dspark_bench.loads.lengths.plan import LengthPlan, Lengths
from dspark_bench.models.checkpoint import naming, read_tokenizer
from dspark_bench.models.config import ModelConfig, parse_model_config, read_json
from dspark_bench.models.target import TargetModel
from dspark_bench.workloads.chat import ChatRenderer, chat_renderer
from dspark_bench.workloads.prompt import Prompt, Workload
from dspark_bench.workloads.requests import RequestLimits, build_requests

_PROTOCOLS: Final[dict[str, type]] = {
    "drafter": Drafter,
    "scheduler": Scheduler,
    "cost": StepCost,
    "calibrator": Calibrator,
    "load": Load,
    "lengths": Lengths,
    "workload": Workload,
    "acceptance": Acceptance,
}
MAX_CONCURRENCY: Final = 65_536
"""Every request that runs has a row of the caches, so more is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The run's requests, those set apart for calibration, and notes."""

    requests: tuple[Request, ...]
    calibration: tuple[Request, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PointObjects:
    """What one point runs with."""

    target: TargetModel
    drafter: Drafter | None
    acceptance: Acceptance
    load: Load
    prompts: Prompts
    tokenizer: Tokenizer
    clock: Clock


class ModelCache:
    """The last target, so that a sweep's points need not read it again."""

    def __init__(self) -> None:
        self._key: tuple[str, str, str] | None = None
        self._target: TargetModel | None = None

    def target(self, directory: Path, dtype: torch.dtype, device: torch.device) -> TargetModel:
        """The target at `directory`; forgets the one before."""
        key = (str(directory.resolve()), str(dtype), str(device))
        if self._target is None or key != self._key:
            self._target = None
            self._target, self._key = TargetModel.load(directory, dtype, device), key
        return self._target


def build_point(
    point: PointConfig, cache: ModelCache, stored: StoredCalibration | None = None
) -> PointObjects:
    """Build everything. Raises UsageError for what does not fit together.

    stored: the calibration that belongs to these models (`calibration_file.find_calibration`).
    """
    device = choose_device(point)
    target = cache.target(point.target_dir, choose_dtype(point, device), device)
    drafter = build_drafter(point, target)
    return PointObjects(
        target=target,
        drafter=drafter,
        acceptance=build_acceptance(point),
        load=_build("load", point.load),
        prompts=build_prompts(point, target.config),
        tokenizer=read_tokenizer(point.target_dir),
        clock=device_clock(device),
    )


def try_light_parts(point: PointConfig) -> None:
    """Build what takes no time, so that its mistakes are found first. Raises UsageError."""
    choose_device(point)
    for group in ("lengths", "acceptance"):
        _build(group, getattr(point, group))
    load: Load = _build("load", point.load)
    if load.max_concurrency > MAX_CONCURRENCY:
        raise UsageError(
            f"load={point.load.name} serves {load.max_concurrency} requests at once; "
            f"valid: up to {MAX_CONCURRENCY}"
        )
    build_calibrator(point, None)
    scheduler = build_scheduler(point, SchedulerParts(EXAMPLE_SURFACE))
    if scheduler.spec.is_selective and not point.has_drafter:
        raise UsageError(f"scheduler={point.scheduler.name} needs a drafter; drafter is none")


def build_drafter(point: PointConfig, target: TargetModel) -> Drafter | None:
    """The drafter, or None for `drafter=none`. Raises UsageError if gamma is too long for it."""
    if not point.has_drafter:
        return None
    with naming(point.drafter_dir) if point.drafter_dir is not None else nullcontext():
        drafter: Drafter = _build("drafter", point.drafter, {"target": target})
    check_gamma(point, drafter.spec.max_gamma)
    return drafter


EXAMPLE_SURFACE = CostSurface(
    (1, 1024),
    (0, 1),
    ((1.0, 1.5), (1024.0, 1536.0)),
    (1,),
    ((0.0,), (0.0,)),
    (0.0, 0.0),
    (0.0, 0.0),
)
"""Drafts that survive every other time just pay: confidences then decide much. For checks of a
scheduler's law, where no time is measured."""
CLIFF_SURFACE = CostSurface(
    (1, 1024),
    (0, 1, 2, 8),
    ((1.0, 1.7, 1.75, 1.8), (1024.0, 1740.8, 1792.0, 1843.2)),
    (1,),
    ((0.0,), (0.0,)),
    (0.0, 0.0),
    (0.0, 0.0),
)
"""The first drafts do not pay, many together do: who looks at all of them at once will choose the
near ones by the far ones."""


@dataclass(frozen=True, slots=True)
class SchedulerParts:
    """What schedulers may ask for beside their own keys.

    surface: for costs that need one; stored: calibration of these models, for calibrators.
    """

    surface: CostSurface | None = None
    stored: StoredCalibration | None = None


def build_scheduler(point: PointConfig, parts: SchedulerParts) -> Scheduler:
    """A scheduler with no memory yet; it gets the parts that its constructor names."""
    wanted = _parameters(point.scheduler)
    extra: dict[str, Any] = {}
    if "cost" in wanted:
        extra["cost"] = build_cost(point, parts)
    if "calibrator" in wanted:
        extra["calibrator"] = build_calibrator(point, parts.stored)
    scheduler: Scheduler = _build("scheduler", point.scheduler, extra)
    return scheduler


def build_calibrator(point: PointConfig, stored: StoredCalibration | None) -> Calibrator:
    """A calibrator with no memory yet. stored: for these models and this sampling, or None.

    The file that `calibrator.path` names has been read by then, so our classes are not told.
    """
    component = point.calibrator
    if component.is_own:
        kept = {key: value for key, value in component.arguments.items() if key != "path"}
        component = replace(component, arguments=kept)
    extra = {"gamma": point.gamma, "stored": stored}
    calibrator: Calibrator = _build("calibrator", component, extra)
    return calibrator


def build_cost(point: PointConfig, parts: SchedulerParts) -> StepCost:
    """The step cost, with a surface if it names one."""
    extra = {"surface": parts.surface} if needs_surface(point.cost) else {}
    cost: StepCost = _build("cost", point.cost, extra)
    return cost


def wants_surface(point: PointConfig) -> bool:
    """Whether the scheduler reads a cost and that cost reads a measured surface."""
    return "cost" in _parameters(point.scheduler) and needs_surface(point.cost)


def needs_surface(cost: Component) -> bool:
    """Whether a cost's constructor names a surface."""
    return "surface" in _parameters(cost)


def _parameters(component: Component) -> tuple[str, ...]:
    """Names that a component's constructor takes."""
    assert component.class_path is not None
    return parameters(find_class(component.class_path))


def check_confidence(scheduler: Scheduler, drafter: Drafter | None, point: PointConfig) -> None:
    """Raise UsageError if a scheduler that reads confidences gets none."""
    has_confidence = drafter is not None and drafter.spec.has_confidence
    if scheduler.spec.needs_confidence and not has_confidence:
        raise UsageError(
            f"scheduler={point.scheduler.name} needs confidences, but drafter="
            f"{point.drafter.name} has no confidence head; valid: fixed, goodput, batch_size"
        )


def build_acceptance(point: PointConfig) -> Acceptance:
    """The rule that decides which drafts stand."""
    acceptance: Acceptance = _build("acceptance", point.acceptance)
    return acceptance


def build_prompts(point: PointConfig, config: ModelConfig | None = None) -> Prompts:
    """Choose and tokenise the prompts. Cheap: reads no weights."""
    maker = _RequestMaker.of(point, config)
    workload = maker.workload
    num_aside = min(point.measure.calibration_requests, workload.num_available("calibration"))
    test = workload.prompts("test", point.num_requests, point.seed)
    aside = workload.prompts("calibration", num_aside, point.seed)
    lengths: Lengths = _build("lengths", point.lengths)
    plan = lengths.plan(point.num_requests, point.max_new_tokens)
    requests = _with_lengths(maker.make(test), plan)
    calibration = _with_lengths(maker.make(aside, first_id=len(requests)), plan)
    notes = workload.notes + plan.notes
    if point.load.name == "trace" and point.lengths.name != "trace":
        notes += ("the trace's token counts are not used; lengths=trace takes its output lengths",)
    if num_aside < point.measure.calibration_requests:
        notes += (f"the workload holds {num_aside} calibration prompts, fewer than asked for",)
    return Prompts(tuple(requests), tuple(calibration), notes)


def _with_lengths(requests: Sequence[Request], plan: LengthPlan) -> list[Request]:
    """Requests with their own lengths; more requests than lengths start over."""
    lengths = itertools.cycle(plan.tokens)
    return [
        replace(request, max_new_tokens=length)
        for request, length in zip(requests, lengths, strict=False)
    ]


def build_calibration_requests(
    point: PointConfig, config: ModelConfig, num_wanted: int | None, num_most: int
) -> tuple[Request, ...]:
    """Requests of the calibration split alone: no test prompt is read.

    num_wanted: how many, None for all there are up to num_most. Raises WorkloadError if there are
    fewer than wanted.
    """
    maker = _RequestMaker.of(point, config)
    if num_wanted is None:
        num_wanted = min(num_most, maker.workload.num_available("calibration"))
    return tuple(maker.make(maker.workload.prompts("calibration", num_wanted, point.seed)))


@dataclass(frozen=True, slots=True)
class _RequestMaker:
    """A point's workload, and what its prompts are tokenised with."""

    workload: Workload
    tokenizer: Tokenizer
    renderer: ChatRenderer
    limits: RequestLimits

    @classmethod
    def of(cls, point: PointConfig, config: ModelConfig | None) -> "_RequestMaker":
        source = point.target_dir / "config.json"
        shape = config or parse_model_config(read_json(source), str(source))
        limits = RequestLimits(
            point.max_new_tokens, point.gamma + 1, shape.max_position_embeddings, shape.vocab_size
        )
        workload: Workload = _build("workload", point.workload)
        renderer = chat_renderer(workload.chat_format, point.target_dir)
        return cls(workload, read_tokenizer(point.target_dir), renderer, limits)

    def make(self, prompts: Sequence[Prompt], first_id: int = 0) -> list[Request]:
        """Requests with ids from `first_id`."""
        return build_requests(prompts, self.renderer, self.tokenizer, self.limits, first_id)


def choose_device(point: PointConfig) -> torch.device:
    """The device asked for. Raises UsageError if it is absent."""
    has_cuda = torch.cuda.is_available()
    if point.engine.device == "cuda" and not has_cuda:
        raise UsageError("engine.device is 'cuda' but torch sees no GPU; valid here: auto, cpu")
    use_cuda = has_cuda and point.engine.device != "cpu"
    return torch.device("cuda", 0) if use_cuda else torch.device("cpu")


def choose_dtype(point: PointConfig, device: torch.device) -> torch.dtype:
    """`auto`: float32 on a CPU, bfloat16 on a GPU."""
    if point.engine.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return torch.float32 if point.engine.dtype == "float32" else torch.bfloat16


def choose_threads(point: PointConfig) -> int:
    """CPU threads of torch: with every core in use, one busy neighbour spoils a measurement."""
    return point.engine.threads or max(1, usable_cores() - 1)


def _build(group: str, component: Component, extra: dict[str, Any] | None = None) -> Any:
    """Call the class with its keys. Raises UsageError if they do not fit its constructor."""
    assert component.class_path is not None
    called = find_class(component.class_path)
    check_argument_types(group, called, component.arguments)
    try:
        built = called(**component.arguments, **(extra or {}))
    except BenchError:
        raise
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise
        given = ", ".join(component.arguments) or "nothing"
        raise UsageError(
            f"{group}={component.name} takes other keys than {given}: {error}"
        ) from error
    check_members(f"{group}={component.name}", built, _PROTOCOLS[group])
    return built
