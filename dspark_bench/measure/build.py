"""From a configuration to live objects, and the memory of what is expensive to build.

Points of one sweep usually share their target; drafters are kept for the point at hand only.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, cast

import torch
from tokenizers import Tokenizer

from dspark_bench.config.component import build_component, constructor_parameters
from dspark_bench.config.point_config import PointConfig
from dspark_bench.config.validate import check_gamma
from dspark_bench.core.calibration import StoredCalibration
from dspark_bench.core.clock import Clock, device_clock
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Acceptance, BranchingDrafter, Drafter, Load, TreePolicy
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.machine.processors import usable_cores
from dspark_bench.measure.arrivals import check_arrivals
from dspark_bench.measure.bandwidth import read_bandwidth_bytes_s
from dspark_bench.measure.build_prompts import Prompts, build_prompts
from dspark_bench.measure.build_scheduler import (
    EXAMPLE_SURFACE,
    SchedulerParts,
    build_calibrator,
    build_scheduler,
)
from dspark_bench.measure.build_tree import build_tree, chains_only, check_tree, tree_rule
from dspark_bench.measure.tree_memory import check_rows, device_bytes
from dspark_bench.models.backend import load_target, read_shape
from dspark_bench.models.checkpoint import naming, read_tokenizer
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import LoadedTarget

MAX_CONCURRENCY: Final = 65_536
"""Every request that runs has a row of the caches, so more is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class PointObjects:
    """What one point runs with. drafter: by itself, as its own figures see it."""

    target: LoadedTarget
    drafter: Drafter | None
    acceptance: Acceptance
    load: Load
    prompts: Prompts
    tokenizer: Tokenizer
    clock: Clock
    tree: TreePolicy | None = None

    @property
    def speculator(self) -> Drafter | None:
        """What proposes in the point's own cycles: the drafter, or trees grown from it."""
        if self.drafter is None or self.tree is None:
            return self.drafter
        branching = cast(BranchingDrafter, self.drafter)
        return TreeDrafts(branching, self.tree)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know about prompts and checkpoints."""
        drafter = () if self.drafter is None else self.drafter.spec.notes
        return (*self.prompts.notes, *self.target.notes, *drafter)


class ModelCache:
    """The last target, and how fast memory is read: what a sweep's points need not do again."""

    def __init__(self) -> None:
        self._key: tuple[str, ...] | None = None
        self._target: LoadedTarget | None = None
        self._read_bytes_s: dict[torch.device, float] = {}

    def read_bytes_s(self, device: torch.device) -> float:
        """Bytes per second at which the device's memory is read, measured once."""
        if device not in self._read_bytes_s:
            self._read_bytes_s[device] = read_bandwidth_bytes_s(device)
        return self._read_bytes_s[device]

    def target(self, point: PointConfig) -> LoadedTarget:
        """The point's target; forgets the one before."""
        directory, device = point.target_dir, choose_device(point)
        dtype, wanted = choose_dtype(point, device), Wanted(point.engine.kernels)
        backend = point.target_backend
        key = (str(directory.resolve()), str(dtype), str(device), wanted, backend)
        if self._target is None or key != self._key:
            self._target = None
            self._target = load_target(directory, dtype, device, wanted, backend)
            self._key = key
        return self._target


def build_point(
    point: PointConfig, cache: ModelCache, stored: StoredCalibration | None = None
) -> PointObjects:
    """Build everything. Raises UsageError for what does not fit together.

    stored: the calibration that belongs to these models (`calibration_file.find_calibration`).
    """
    device = choose_device(point)
    target = cache.target(point)
    drafter = build_drafter(point, target)
    tree = build_tree(point)
    if tree is not None:
        _check_branches(point, drafter, tree, target)
    return PointObjects(
        target=target,
        drafter=drafter,
        acceptance=build_acceptance(point),
        load=build_component("load", point.load),
        prompts=build_prompts(point, target.config),
        tokenizer=read_tokenizer(point.target_dir),
        clock=device_clock(device),
        tree=tree,
    )


def _check_branches(
    point: PointConfig, drafter: Drafter | None, tree: TreePolicy, target: LoadedTarget
) -> None:
    """Raise UsageError for a drafter that drafts chains only, or ranks that no token has."""
    if drafter is None or not drafter.spec.can_branch:
        if hasattr(drafter, "branch"):
            raise UsageError(
                f"drafter={point.drafter.name} drafts chains only with this checkpoint; valid with "
                "it: tree=none"
            )
        raise chains_only(point)
    size = target.config.vocab_size
    if tree.spec.num_choices > size:
        raise UsageError(
            f"tree={point.tree.name} has the rank {tree.spec.num_choices - 1}; valid for this "
            f"target: 0 to {size - 1}"
        )


def try_light_parts(point: PointConfig) -> None:
    """Build what takes no time, so that its mistakes are found first. Raises UsageError."""
    choose_device(point)
    build_component("lengths", point.lengths)
    build_acceptance(point)
    load: Load = build_component("load", point.load)
    if load.max_concurrency > MAX_CONCURRENCY:
        raise UsageError(
            f"load={point.load.name} serves {load.max_concurrency} requests at once; "
            f"valid: up to {MAX_CONCURRENCY}"
        )
    check_arrivals(point, load)
    build_calibrator(point, None)
    scheduler = build_scheduler(point, SchedulerParts(EXAMPLE_SURFACE))
    check_tree(point, scheduler)
    _check_tree_memory(point, load)
    if scheduler.spec.is_selective and not point.has_drafter:
        raise UsageError(f"scheduler={point.scheduler.name} needs a drafter; drafter is none")


def _check_tree_memory(point: PointConfig, load: Load) -> None:
    """Raise UsageError where judging the point's trees would not fit in its device."""
    tree = build_tree(point)
    if tree is None:
        return
    check_rows(
        tree.spec.num_nodes,
        min(load.max_concurrency, point.num_requests),
        read_shape(point.target_dir, point.target_backend).vocab_size,
        point.sampling.is_greedy,
        device_bytes(choose_device(point)),
    )


def build_drafter(point: PointConfig, target: LoadedTarget) -> Drafter | None:
    """The drafter, or None for `drafter=none`. Raises UsageError if gamma is too long for it."""
    if not point.has_drafter:
        return None
    with naming(point.drafter_dir) if point.drafter_dir is not None else nullcontext():
        drafter: Drafter = build_component("drafter", point.drafter, {"target": target})
    if drafter.spec.num_nodes is not None:
        raise UsageError(
            f"drafter={point.drafter.name} proposes trees of its own (spec.num_nodes is "
            f"{drafter.spec.num_nodes}); valid: None, and a method `branch` for tree= to grow from"
        )
    check_gamma(point, drafter.spec.max_gamma)
    return drafter


def build_acceptance(point: PointConfig) -> Acceptance:
    """The rule that decides which drafts stand; it gets gamma if its constructor names it."""
    extra = {"gamma": point.gamma} if "gamma" in constructor_parameters(point.acceptance) else {}
    acceptance: Acceptance = build_component("acceptance", point.acceptance, extra)
    return tree_rule(point, acceptance)


def refuse_simulated(point: PointConfig, command: str) -> None:
    """Raise UsageError where verdicts are made up: they say nothing about a drafter."""
    if build_acceptance(point).is_simulated:
        raise UsageError(
            f"acceptance={point.acceptance.name} is simulated, so there is nothing to {command}; "
            "valid: exact, match, replay"
        )


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
