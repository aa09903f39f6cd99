"""Why figures about the drafter are empty under a scheduler that picks what is verified."""

from collections.abc import Mapping

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.types import SchedulerSpec

_KEY = "exploration_period"


def width_doubts(
    point: PointConfig, spec: SchedulerSpec, counts: Mapping[str, float]
) -> tuple[str, ...]:
    """A sentence where no decode cycle was full width, naming what gives some; else nothing.

    counts: of the run, by `PointSummary.counts`.
    """
    num_cycles = int(counts.get("cycles", 0))
    if not spec.is_selective or num_cycles == 0 or counts.get("trial_cycles", 0):
        return ()
    empty = f"alpha, theory and gap are empty under scheduler={point.scheduler.name}: "
    if spec.needs_hindsight:
        return (f"{empty}it verifies what will be accepted and no more; scheduler=fixed has them",)
    if spec.exploration_period:
        return (
            f"{empty}none of its {num_cycles} decode cycles verified everything; more requests "
            f"(num_requests) or a shorter scheduler.{_KEY} (now {spec.exploration_period}) give "
            "some that do",
        )
    remedy = f"scheduler.{_KEY}=200" if _KEY in point.scheduler.arguments else "scheduler=fixed"
    return (f"{empty}none of its decode cycles was to verify everything; {remedy} has some",)
