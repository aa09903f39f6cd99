"""A compared figure, a point's figures, and how verdicts are reached over all of them.

A figure passes if the one-sided 95 % bound of its ratio lies above 1 - margin, and fails if its
ratio lies below 1 - margin beyond chance, Holm-adjusted over everything the check compares.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from dspark_bench.gate.estimates import Evidence
from dspark_bench.gate.statistics import distance, holm, lower_tail, quantile

MIN_REQUESTS: Final = 20
"""Fewer prompts than this carry no bootstrap: the check is inconclusive whatever they show."""
MIN_TRIALS: Final = 300
"""Positions that the baseline decided less often are left out, by name."""
PASS_LEVEL: Final = 0.95
FAIL_LEVEL: Final = 0.01

Verdict = Literal["pass", "fail", "open"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One comparison. ratio with its two one-sided 95 % bounds; p_fail: Holm-adjusted chance of
    such a ratio if the true one were 1 - margin or more; must_pass: an open figure leaves the check
    inconclusive (others can only fail); n: trials in the baseline.
    """

    name: str
    position: int | None
    evidence: Evidence | Literal["times"]
    baseline: float
    value: float
    ratio: float
    low: float
    high: float
    margin: float
    p_fail: float
    must_pass: bool
    n: int
    verdict: Verdict = "open"

    @property
    def title(self) -> str:
        """Name with position, and the evidence where it is not the usual one."""
        return self.name if self.position is None else f"{self.name}[{self.position}]"


@dataclass(frozen=True, slots=True)
class PointComparison:
    """A point's figures; left_out: positions without enough trials; notes: what differs."""

    label: str
    figures: tuple[Figure, ...]
    num_requests: int
    num_baseline_requests: int
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Figure, ...]:
        """Figures that fell beyond the margin."""
        return tuple(figure for figure in self.figures if figure.verdict == "fail")

    @property
    def is_too_small(self) -> bool:
        """Whether there are too few prompts to say anything."""
        return self.num_requests < MIN_REQUESTS

    @property
    def verdict(self) -> Verdict:
        """`fail` if a figure failed, `open` if one that must pass is not proven."""
        if self.is_too_small:
            return "open"
        if self.failed:
            return "fail"
        is_open = any(f.must_pass and f.verdict == "open" for f in self.figures)
        return "open" if is_open else "pass"

    @property
    def worst_position(self) -> Figure | None:
        """The position that lost most, by the evidence that lost most."""
        places = [f for f in self.figures if f.position is not None and math.isfinite(f.ratio)]
        return min(places, key=lambda f: (f.verdict != "fail", f.ratio), default=None)


def make_figure(
    what: tuple[str, int | None, Evidence | Literal["times"]],
    values: tuple[float, float],
    error: float,
    num_units: int,
    margin: float,
    must_pass: bool,
    n: int,
) -> Figure:
    """p_fail is the plain one-sided p-value here. What cannot be estimated proves nothing."""
    ours, theirs = values
    found = ours / theirs if theirs > 0 and math.isfinite(ours) else math.nan
    if math.isnan(found) or (math.isnan(error) and found > 0) or num_units < 2:
        return Figure(*what, theirs, ours, found, math.nan, math.nan, margin, 1.0, must_pass, n)
    degrees = num_units - 1
    if found == 0:  # nothing is accepted any more: no interval is needed to see that
        return Figure(*what, theirs, ours, 0.0, 0.0, 0.0, margin, 0.0, must_pass, n)
    reach = error * quantile(PASS_LEVEL, degrees)
    steps = distance(math.log(found), margin, error)
    return Figure(
        *what,
        theirs,
        ours,
        found,
        found * math.exp(-reach),
        found * math.exp(reach),
        margin,
        lower_tail(steps, degrees),
        must_pass,
        n,
    )


def adjust(points: Sequence[PointComparison]) -> tuple[PointComparison, ...]:
    """Holm's step-down over all figures of all points, and each figure's verdict."""
    raw = [figure.p_fail for point in points for figure in point.figures]
    adjusted = iter(holm(raw))
    return tuple(
        replace(
            point,
            figures=tuple(
                replace(figure, p_fail=p, verdict=_verdict(figure, p))
                for figure, p in ((figure, next(adjusted)) for figure in point.figures)
            ),
        )
        for point in points
    )


def _verdict(figure: Figure, p_fail: float) -> Verdict:
    if p_fail < FAIL_LEVEL:
        return "fail"
    return "pass" if figure.low >= 1 - figure.margin else "open"
