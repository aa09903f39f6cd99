"""A sweep's command line as checked points: whatever a user can get wrong is found here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dspark_bench.config.compose import Composed, hydra_session, search_path_override
from dspark_bench.config.compose_many import compose_points
from dspark_bench.config.expand import distinct_settings, expand, with_copies
from dspark_bench.config.point_config import to_point_config
from dspark_bench.config.quoting import as_hydra_reads
from dspark_bench.config.sweep_lists import refuse_sweep_list, with_plain_group
from dspark_bench.config.validate import check_overrides, check_point
from dspark_bench.core.errors import UsageError
from dspark_bench.measure.block_plan import PlannedPoint
from dspark_bench.measure.build import try_light_parts
from dspark_bench.measure.foreseen import check_measurable
from dspark_bench.measure.identity import HashCache, identify
from dspark_bench.store.tables import SweepPlan

_MANY = 20
"""Points whose check takes long enough to be told of."""


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """A command line: overrides as typed, `--config-dir`, `--fresh`, and whether it is `run`."""

    overrides: tuple[str, ...]
    config_dir: Path | None = None
    is_fresh: bool = False
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class PlannedSweep:
    """A sweep whose every point has been checked. overrides: typed ones with the search path."""

    request: SweepRequest
    overrides: tuple[str, ...]
    plan: SweepPlan
    points: tuple[PlannedPoint, ...]

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.points[0].config.folder


def plan_request(request: SweepRequest, hashes: HashCache, console: Console) -> PlannedSweep:
    """Check every point of a command line. Raises UsageError for the first mistake."""
    overrides = (*request.overrides, *search_path_override(request.config_dir, request.overrides))
    overrides = as_hydra_reads(with_plain_group(overrides))
    plan, points = plan_sweep(overrides, hashes, console, is_measured=True)
    if request.is_single and len(points) > 1:
        keys = ", ".join(plan.swept_keys)
        raise UsageError(f"run takes one point, but {keys} has several values; use sweep")
    return PlannedSweep(request, overrides, plan, tuple(points))


def single_point(request: SweepRequest, verb: str) -> PlannedPoint:
    """The one point that the overrides name. Raises UsageError if they name several."""
    refuse_sweep_list(request.overrides, request.config_dir)
    overrides = (*request.overrides, *search_path_override(request.config_dir, request.overrides))
    plan, points = plan_sweep(with_plain_group(overrides), HashCache())
    if len(points) > 1:
        keys = ", ".join(plan.swept_keys)
        raise UsageError(f"{verb} takes one point, but {keys} has several values")
    return points[0]


def plan_sweep(
    overrides: Sequence[str],
    hashes: HashCache,
    console: Console | None = None,
    is_measured: bool = False,
) -> tuple[SweepPlan, list[PlannedPoint]]:
    """Expand, compose, check and identify every point.

    console: told of many points, whose check takes seconds; is_measured: whether the points shall
    be measured, which needs more than other verbs do. Raises UsageError for the first mistake, and
    says which point it is of and how many others have one.
    """
    overrides = as_hydra_reads(overrides)
    check_overrides(overrides)
    expansion = expand(with_copies(overrides))
    if console is not None and len(expansion.points) >= _MANY:
        console.print(f"checking {len(expansion.points)} points", highlight=False)
    with hydra_session():
        composed = compose_points(expansion.points)
    points, mistakes, sound = [], [], set[str]()
    for item, setting in zip(composed, distinct_settings(expansion.points), strict=True):
        try:
            points.append(_plan_point(item, expansion.name, hashes, is_measured, sound))
        except UsageError as error:
            mistakes.append((setting, error))
    if mistakes:
        raise _first_of(mistakes, len(composed))
    ids = [point.identity.point_id for point in points]
    typed = tuple(o for o in overrides if not o.startswith("hydra.searchpath"))
    plan = SweepPlan(
        expansion.name,
        (typed,),
        expansion.swept_keys,
        tuple(zip(ids, expansion.points, strict=True)),
    )
    return plan, points


def _plan_point(
    composed: Composed, name: str, hashes: HashCache, is_measured: bool, sound: set[str]
) -> PlannedPoint:
    config = to_point_config(composed, name)
    check_point(config, sound)
    try_light_parts(config)
    if is_measured:
        check_measurable(config)
    return PlannedPoint(config, identify(config, hashes))


def _first_of(mistakes: Sequence[tuple[str, UsageError]], num_points: int) -> UsageError:
    """The first mistake, named by what is swept, and how many other points have one. One that all
    points share has nothing to do with what is swept.
    """
    setting, error = mistakes[0]
    is_shared = len(mistakes) == num_points and len({str(own) for _, own in mistakes}) == 1
    if is_shared:
        return error
    others = "" if len(mistakes) == 1 else f" ({len(mistakes)} of {num_points} points cannot run)"
    return type(error)(f"{setting}: {error}{others}")
