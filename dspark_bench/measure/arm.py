"""One arm of a block: a point's live objects, its engine, and what is known of it beforehand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from dspark_bench.config.component import build_component
from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.protocols import Load, Scheduler
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.machine.environment import Environment
from dspark_bench.measure.allowance import Allowance
from dspark_bench.measure.arrivals import arrival_notes
from dspark_bench.measure.block_plan import PlannedPoint
from dspark_bench.measure.build import ModelCache, PointObjects, build_point
from dspark_bench.measure.build_scheduler import (
    EXAMPLE_SURFACE,
    SchedulerParts,
    build_scheduler,
    check_confidence,
    wants_surface,
)
from dspark_bench.measure.calibration_file import Found, find_calibration
from dspark_bench.measure.continuations import with_continuations
from dspark_bench.measure.cost_profiles import surface_for
from dspark_bench.measure.law_checks import broken_contract
from dspark_bench.measure.predictions import can_predict, costs_now
from dspark_bench.measure.rounds import plan_rounds
from dspark_bench.metrics.theory import CostProfile
from dspark_bench.schedulers.fixed import FixedScheduler


@dataclass(frozen=True, slots=True)
class BuiltArm:
    """A point's objects before anything is timed.

    calibration: what was found of it; notes: on prompts and arrivals; broken: how a user's drafter
    answers forced tokens wrongly, or None; continuations_hash: of recorded outputs, if any are
    followed.
    """

    planned: PlannedPoint
    objects: PointObjects
    calibration: Found
    notes: tuple[str, ...]
    broken: str | None
    continuations_hash: str | None


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm that can take turns. costs: what `speedup_model` is predicted from, taken before the
    turns and added to after them.
    """

    built: BuiltArm
    scheduler: Scheduler
    surface: CostSurface | None
    cost_notes: tuple[str, ...]
    costs: list[CostProfile] = field(default_factory=list)

    @property
    def planned(self) -> PlannedPoint:
        """Its point."""
        return self.built.planned

    @property
    def objects(self) -> PointObjects:
        """What it runs with."""
        return self.built.objects

    @property
    def is_predicted(self) -> bool:
        """Whether `speedup_model` knows this kind of point."""
        return can_predict(self.planned.config, self.objects, self.scheduler)

    def take_costs(self) -> None:
        """Add the costs of now, where they are predicted from. Allocates the drafter's cache."""
        if self.is_predicted:
            self.costs.append(costs_now(self.planned.config, self.objects))


class Worker:
    """An engine with the load that it is under, within the time that its point is allowed."""

    def __init__(self, engine: Engine, load: Load, allowance: Allowance) -> None:
        self._engine, self._load, self._allowance = engine, load, allowance

    def run(self, requests: Sequence[Request], seed: int) -> RunResult:
        """See `turns.Runner`."""
        with self._allowance.at_work():
            return self._engine.run(requests, self._load, seed)

    def steps(self, requests: Sequence[Request], seed: int) -> Iterator[RunResult]:
        """See `turns.Runner`."""
        steps = self._engine.steps(requests, self._load, seed)
        while True:
            with self._allowance.at_work():
                result = next(steps, None)
            if result is None:
                return
            yield result


def build_arm(planned: PlannedPoint, models: ModelCache) -> BuiltArm:
    """Build a point's objects and look at what they say. Raises what its parts raise."""
    point, identity = planned.config, planned.identity
    found = find_calibration(point, identity.target_hash, identity.drafter_hash)
    objects = build_point(point, models, found.stored)
    load, requests = objects.load, objects.prompts.requests
    rounds = plan_rounds(point, requests, load.max_concurrency)
    notes = (*objects.notes, *arrival_notes(point, load), *rounds.notes)
    broken = broken_contract(point, objects)
    objects, continuations_hash = with_continuations(point, objects, identity)
    return BuiltArm(planned, objects, found, notes, broken, continuations_hash)


def prepare_arm(built: BuiltArm, environment: Environment) -> Arm:
    """Its scheduler, with the measured step costs that it reads, and the costs of now.

    Times things: nothing else may run. Raises what its parts raise.
    """
    point, objects, identity = built.planned.config, built.objects, built.planned.identity
    surface: CostSurface | None = None
    notes: tuple[str, ...] = ()
    if wants_surface(point) and objects.drafter is not None:
        found = surface_for(point, objects, identity, environment)
        surface = found.surface
        warnings = (*surface.warnings(), *([found.note] if found.note else []))
        notes = tuple(f"step costs: {warning}" for warning in warnings)
    example = EXAMPLE_SURFACE if wants_surface(point) else None
    parts = SchedulerParts(surface or example, built.calibration.stored)
    scheduler = build_scheduler(point, parts)
    if objects.drafter is not None:
        check_confidence(scheduler, objects.drafter, point)
    arm = Arm(built, scheduler, surface, notes)
    arm.take_costs()
    return arm


def arm_worker(arm: Arm, room: EngineConfig) -> Worker:
    """The arm's engine. Allocates its caches."""
    config = arm.planned.config
    return _worker(arm, room, arm.scheduler, config.measure.time_limit_s)


def baseline_worker(arm: Arm, room: EngineConfig) -> Worker:
    """The baseline that belongs to an arm and to all others of its block."""
    objects = replace(arm.objects, drafter=None)
    built = replace(arm.built, objects=objects)
    return _worker(replace(arm, built=built), room, FixedScheduler(), None)


def _worker(arm: Arm, room: EngineConfig, scheduler: Scheduler, limit_s: float | None) -> Worker:
    point, objects = arm.planned.config, arm.objects
    allowance = Allowance(objects.clock, limit_s)
    engine = Engine(
        objects.target,
        objects.speculator,
        scheduler,
        objects.acceptance,
        point.sampling,
        point.gamma,
        room,
        allowance,
    )
    return Worker(engine, build_component("load", point.load), allowance)
