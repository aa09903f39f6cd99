"""What measuring a point would stop at, found from its files alone, before any point is measured.

Each rule stands again, with the built objects, where a point is measured: a user's own drafter
tells what it can do only then.
"""

import inspect

from dspark_bench.config.component import build_component
from dspark_bench.config.plugin_fit import check_argument_types, find_class, parameters
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import UsageError
from dspark_bench.measure.build_scheduler import (
    EXAMPLE_SURFACE,
    SchedulerParts,
    build_scheduler,
    needs_confidence_error,
    wants_surface,
)
from dspark_bench.measure.cost_profiles import NO_PROMPTS
from dspark_bench.workloads.prompt import Workload


def check_measurable(point: PointConfig) -> None:
    """Raise UsageError for what would only be found once this point's turn comes."""
    _check_drafter_keys(point)
    scheduler = build_scheduler(point, SchedulerParts(EXAMPLE_SURFACE))
    reads_confidence = scheduler.spec.needs_confidence and not point.has_tree
    if reads_confidence and gives_confidence(point) is False:
        raise needs_confidence_error(point)
    if wants_surface(point) and point.has_drafter and _num_aside(point) == 0:
        raise UsageError(NO_PROMPTS)


def _check_drafter_keys(point: PointConfig) -> None:
    """A drafter is built beside its target only; its keys can be compared with what it takes, and
    judged by its class where that has a `check_keys`.
    """
    if not point.has_drafter:
        return
    called = find_class(str(point.drafter.class_path))
    check_argument_types("drafter", called, point.drafter.arguments)
    known = parameters(called)
    unknown = [key for key in point.drafter.arguments if key not in known]
    if unknown and known and not _takes_any(called):
        valid = ", ".join(name for name in known if name != "target")
        raise UsageError(f"drafter={point.drafter.name} has no key {unknown[0]!r}; valid: {valid}")
    judge = vars(called).get("check_keys")
    if isinstance(judge, staticmethod):
        judge(**point.drafter.arguments)


def _takes_any(called: type) -> bool:
    """Whether a constructor has `**keys`."""
    kinds = [p.kind for p in inspect.signature(called).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def gives_confidence(point: PointConfig) -> bool | None:
    """Whether the drafter gives confidences; None where only its class knows. Ours do: where they
    have no head, something stands in.
    """
    if not point.has_drafter:
        return False
    return True if point.drafter.is_own else None


def _num_aside(point: PointConfig) -> int:
    """Prompts set aside for calibration, which costs are profiled with."""
    if point.measure.calibration_requests == 0:
        return 0
    workload: Workload = build_component("workload", point.workload)
    return workload.num_available("calibration")
