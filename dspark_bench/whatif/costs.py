"""What a cycle costs at a draft length and a batch, from stored profiles only.

At one request at a time: what the point itself profiled beside its run (`model_inputs`). Else, or
if a file is named: a step-cost surface, of a point that used `cost=profiled` or of `profile`, with
values between its cells on straight lines. Outside of what was profiled there is no cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from dspark_bench.core.cost_surface import CostSurface, evaluate
from dspark_bench.metrics.theory import CostProfile, speedup_of_length
from dspark_bench.reading.points import Point
from dspark_bench.reading.surfaces import SURFACE, read_surface
from dspark_bench.whatif.base import gamma_of

_NONE = (
    "no cost profile is stored; `dspark-bench profile` writes one for --profile, and points with "
    "scheduler=hardware_aware cost=profiled keep theirs"
)


@dataclass(frozen=True, slots=True)
class RequestCosts:
    """One request at a time, its prompt included. num_tokens: mean output of a request."""

    source: str
    profile: CostProfile
    gamma: int
    num_tokens: float

    def speedup(self, emitted_length: float, draft_factor: float) -> float:
        """S if a cycle emits this many tokens and drafting takes draft_factor times as long."""
        costs = self.profile
        slower = replace(
            costs,
            draft_s=tuple(draft_factor * seconds for seconds in costs.draft_s),
            draft_prefill_s=draft_factor * costs.draft_prefill_s,
        )
        return speedup_of_length(slower, emitted_length, self.gamma, self.num_tokens)


@dataclass(frozen=True, slots=True)
class CycleCosts:
    """A full batch between prompts. step_s: without speculation; draft_s: proposing and reading
    what was committed; rest_s: the other parts of a speculative cycle.
    """

    source: str
    step_s: float
    draft_s: float
    rest_s: float

    def speedup(self, emitted_length: float, draft_factor: float) -> float:
        """S = E t_1 / (draft + rest), as of `RequestCosts`."""
        return emitted_length * self.step_s / (draft_factor * self.draft_s + self.rest_s)


Costs = RequestCosts | CycleCosts


@dataclass(frozen=True, slots=True)
class Surface:
    """A surface and what it is called."""

    source: str
    surface: CostSurface


def surfaces_of(points: Sequence[Point], file: Path | None) -> tuple[Surface, ...]:
    """The named file alone, or the points' own surfaces, the largest batches first.

    Raises ResultsError for a file that holds none.
    """
    if file is not None:
        return (Surface(file.name, read_surface(file)),)
    found = [
        Surface(f"surface of {point.point_id[:8]}", read_surface(point.folder / SURFACE))
        for point in points
        if (point.folder / SURFACE).is_file()
    ]
    found.sort(key=lambda item: (-item.surface.requests[-1], item.source))
    return tuple(found)


def costs_at(
    gamma: int, requests: int, points: Sequence[Point], surfaces: Sequence[Surface], is_named: bool
) -> Costs | str:
    """Costs of drafts of gamma for so many requests at once, or why there are none.

    points: with profiles of their own, which `is_named` leaves out (a file was named instead).
    """
    own = () if is_named or requests != 1 else points
    for point in own:
        found = _profile(point) if gamma_of(point) == gamma else None
        if found is not None:
            return found
    reasons = [_outside(item.surface, gamma, requests) for item in surfaces]
    for item, reason in zip(surfaces, reasons, strict=True):
        if reason is None:
            return _on(item, gamma, requests)
    if surfaces:
        return f"{surfaces[0].source}: {reasons[0]}"
    known = sorted({gamma_of(p) for p in points if _profile(p) is not None})
    if not known:
        return _NONE
    lengths = ", ".join(map(str, known))
    return (
        f"costs are profiled for 1 request at a time and gamma {lengths} only; `dspark-bench "
        "profile` measures more, for --profile"
    )


def _outside(surface: CostSurface, gamma: int, requests: int) -> str | None:
    """Which side of the surface a cell lies on, where it is not on it."""
    sizes, longest = surface.requests, min(surface.widths[-1], surface.slots[-1])
    if not sizes[0] <= requests <= sizes[-1]:
        span = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        return f"costs are profiled for {span} requests at once"
    if gamma > longest:
        return f"costs are profiled for drafts up to {longest}"
    return None


def _on(item: Surface, gamma: int, requests: int) -> CycleCosts:
    surface = item.surface
    step, rest = evaluate(surface.step_curve(requests, is_raw=True), np.array([0.0, gamma]))
    drafting = evaluate(surface.draft_curve(gamma), np.array([float(requests)]))[0]
    draft_s = float(drafting) + surface.absorb_at(requests)
    return CycleCosts(item.source, float(step), draft_s, float(rest))


def _profile(point: Point) -> RequestCosts | None:
    """What the point profiled at its own draft length; None if it did not, or not all of it."""
    stored, tokens = (
        point.metric("model_inputs.profile"),
        point.metric("model_inputs.mean_output_tokens"),
    )
    gamma = gamma_of(point)
    if not isinstance(stored, Mapping) or not _is_time(tokens):
        return None
    try:
        values = {field.name: _times(stored[field.name]) for field in fields(CostProfile)}
        profile = CostProfile(**values)
        needed = (
            profile.step_s,
            profile.prefill_s,
            profile.draft_prefill_s,
            profile.cycle_s(gamma),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    if not all(np.isfinite(value) and value >= 0 for value in needed) or profile.step_s == 0:
        return None
    return RequestCosts(f"profile of {point.point_id[:8]}", profile, gamma, float(tokens))


def _times(value: Any) -> Any:
    """Seconds; NaN where none was stored."""
    if isinstance(value, list):
        return tuple(float("nan") if item is None else float(item) for item in value)
    return float("nan") if value is None else float(value)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 1
