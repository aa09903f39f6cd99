"""A point's scheduler with what it decides by: the cost of steps and calibrated confidences."""

from dataclasses import dataclass, replace
from typing import Any

from dspark_bench.config.component import build_component, constructor_parameters
from dspark_bench.config.point_config import Component, PointConfig
from dspark_bench.core.calibration import StoredCalibration
from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Calibrator, Drafter, Scheduler, StepCost
from dspark_bench.core.types import CONFIDENCE_KINDS, DrafterSpec

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
    wanted = constructor_parameters(point.scheduler)
    extra: dict[str, Any] = {}
    if "cost" in wanted:
        extra["cost"] = build_cost(point, parts)
    if "calibrator" in wanted:
        extra["calibrator"] = build_calibrator(point, parts.stored)
    scheduler: Scheduler = build_component("scheduler", point.scheduler, extra)
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
    calibrator: Calibrator = build_component("calibrator", component, extra)
    return calibrator


def build_cost(point: PointConfig, parts: SchedulerParts) -> StepCost:
    """The step cost, with a surface if it names one."""
    extra = {"surface": parts.surface} if needs_surface(point.cost) else {}
    cost: StepCost = build_component("cost", point.cost, extra)
    return cost


def wants_surface(point: PointConfig) -> bool:
    """Whether the scheduler reads a cost and that cost reads a measured surface."""
    return "cost" in constructor_parameters(point.scheduler) and needs_surface(point.cost)


def needs_surface(cost: Component) -> bool:
    """Whether a cost's constructor names a surface."""
    return "surface" in constructor_parameters(cost)


def check_confidence(scheduler: Scheduler, drafter: Drafter | None, point: PointConfig) -> None:
    """Raise UsageError if a scheduler that reads confidences gets none, or some of a kind that is
    not known before the token that it is about. Of trees it reads survival instead.
    """
    if point.has_tree:
        return
    has_confidence = drafter is not None and drafter.spec.has_confidence
    if drafter is not None and has_confidence:
        check_kind(drafter.spec)
    if scheduler.spec.needs_confidence and not has_confidence:
        raise needs_confidence_error(point)


def check_kind(spec: DrafterSpec) -> None:
    """Raise UsageError for confidences that may have seen what they judge.

    The probability of the drawn token is one: verifying by it prefers the tokens that the drafter
    likes, and sampled output is biased.
    """
    if spec.confidence_kind not in CONFIDENCE_KINDS:
        raise UsageError(
            f"drafter {spec.name} has confidences of the kind {spec.confidence_kind!r}; valid: "
            f"{', '.join(CONFIDENCE_KINDS)}, which are known before the token is drawn"
        )


def needs_confidence_error(point: PointConfig) -> UsageError:
    """What is wrong with a scheduler that reads confidences and a drafter that gives none."""
    return UsageError(
        f"scheduler={point.scheduler.name} needs confidences, but drafter="
        f"{point.drafter.name} has no confidence head; valid: fixed, goodput, batch_size"
    )
