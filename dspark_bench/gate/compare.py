"""One point against its baseline: every figure's ratio, its interval, and what that says.

A figure passes if the one-sided 95 % bound of its ratio lies above 1 - margin, and fails if its
ratio lies below 1 - margin beyond chance, Holm-adjusted over everything the check compares.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from dspark_bench.core.errors import ResultsError
from dspark_bench.gate.counts import Counts, PromptCounts
from dspark_bench.gate.estimates import AGGREGATES, Evidence, estimate, has_overlaps, trials
from dspark_bench.gate.points import GatePoint
from dspark_bench.gate.statistics import (
    distance,
    holm,
    log_ratio_errors,
    lower_tail,
    quantile,
    resampling_weights,
)
from dspark_bench.metrics.sums import FloatArray

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


@dataclass(frozen=True, slots=True)
class Pair:
    """The counts that two points share: same prompts [U], same repeats; is_replay: along records;
    is_coupled: the same records and draws, so that unchanged code gives equal counts.
    """

    ours: Counts
    theirs: Counts
    is_replay: bool
    is_coupled: bool


def compare_point(
    point: GatePoint, baseline: GatePoint, margin: float, speed_margin: float | None, seed: int = 0
) -> PointComparison:
    """Figures without Holm's adjustment over other points (`adjust` makes it)."""
    prompts = tuple(p for p in baseline.counts.prompts if p in set(point.counts.prompts))
    pair = pair_counts(point, baseline, prompts)
    figures, left_out = figures_of(pair, margin, seed)
    if speed_margin is not None:
        figures = (*figures, _speed_figure(point, baseline, prompts, speed_margin, seed))
    return PointComparison(
        baseline.label, figures, len(prompts), len(baseline.counts.prompts), left_out
    )


def pair_counts(point: GatePoint, baseline: GatePoint, prompts: tuple[str, ...]) -> Pair:
    """What both sides measured."""
    num_repeats = min(len(point.counts.repeats), len(baseline.counts.repeats))

    def chosen(counts: PromptCounts) -> Counts:
        return counts.select(prompts, num_repeats)

    mine, other = point.identity, baseline.identity
    is_replay = mine.is_replay and other.is_replay
    has_same_records = mine.continuations_hash == other.continuations_hash
    is_coupled = is_replay and has_same_records and mine.draws == other.draws
    return Pair(chosen(point.counts), chosen(baseline.counts), is_replay, is_coupled)


def figures_of(
    pair: Pair, margin: float, seed: int = 0
) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """Figures of one point, p_fail not yet adjusted, and the positions left out.

    With expected acceptance on both sides its figures must pass, and those from counts can only
    fail (they see a broken acceptance rule). Along records positions must pass as well; elsewhere
    the contexts differ from run to run, and positions can only fail.
    """
    sides = _Sides.of(pair, resampling_weights(len(pair.ours.cycles), seed))
    has_expected = has_overlaps(sides.totals[0]) and has_overlaps(sides.totals[1])
    kinds: tuple[Evidence, ...] = ("expected", "counts") if has_expected else ("counts",)
    figures: list[Figure] = []
    left_out: list[str] = []
    for evidence in kinds:
        found, omitted = _figures(sides, evidence, margin, evidence == kinds[0])
        figures += found
        left_out += omitted
    return tuple(figures), tuple(dict.fromkeys(left_out))


@dataclass(frozen=True, slots=True)
class _Sides:
    """Ours and theirs: totals, and resampled sums [N, ...] in step."""

    totals: tuple[Counts, Counts]
    resampled: tuple[Counts, Counts]
    num_units: int
    is_replay: bool

    @classmethod
    def of(cls, pair: Pair, weights: FloatArray) -> "_Sides":
        return cls(
            (pair.ours.total(), pair.theirs.total()),
            (pair.ours.weighted(weights), pair.theirs.weighted(weights)),
            len(pair.ours.cycles),
            pair.is_replay,
        )


def _figures(
    sides: _Sides, evidence: Evidence, margin: float, is_main: bool
) -> tuple[list[Figure], list[str]]:
    is_replay = sides.is_replay
    values = [estimate(side, evidence, is_replay) for side in sides.totals]
    drawn = [estimate(side, evidence, is_replay) for side in sides.resampled]
    errors = log_ratio_errors(drawn[0], drawn[1])
    counted = trials(sides.totals[1], evidence, is_replay)
    figures, left_out = [], []
    for index, name in enumerate((*AGGREGATES, *["acceptance"] * sides.totals[1].gamma)):
        position = index - len(AGGREGATES) + 1 if index >= len(AGGREGATES) else None
        n = int(counted.sum() if position is None else counted[position - 1])
        if position is not None and n < MIN_TRIALS:
            left_out.append(f"acceptance[{position}] ({n} trials in the baseline)")
            continue
        if position is not None:
            must_pass = is_main and evidence == "expected" and is_replay
        else:
            must_pass = is_main
        figures.append(
            _figure(
                (name, position, evidence),
                (float(values[0][index]), float(values[1][index])),
                float(errors[index]),
                sides.num_units,
                margin,
                must_pass,
                n,
            )
        )
    return figures, left_out


def _figure(
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


def _speed_figure(
    point: GatePoint, baseline: GatePoint, prompts: tuple[str, ...], margin: float, seed: int
) -> Figure:
    """S over the baseline's S: paired by prompt at one user, else blocks of each side apart."""
    ours, theirs = point.speed, baseline.speed
    if ours is None or theirs is None:
        side = "results" if ours is None else "baseline"
        raise ResultsError(
            f"{baseline.label}: the {side} hold no valid times; --speed-margin needs them on both "
            "sides"
        )
    if ours.is_by_prompt and theirs.is_by_prompt:
        ours, theirs = ours.pick(prompts), theirs.pick(prompts)
        weights = resampling_weights(len(prompts), seed)
        drawn = (ours.ratio(weights), theirs.ratio(weights))
        num_units = len(prompts)
    else:
        drawn = (
            ours.ratio(resampling_weights(len(ours.labels), seed)),
            theirs.ratio(resampling_weights(len(theirs.labels), seed + 1)),
        )
        num_units = min(len(ours.labels), len(theirs.labels))
    values = [float(side.ratio(np.ones((1, len(side.labels))))[0]) for side in (ours, theirs)]
    error = float(log_ratio_errors(drawn[0][:, None], drawn[1][:, None])[0])
    return _figure(
        ("speedup", None, "times"),
        (values[0], values[1]),
        error,
        num_units,
        margin,
        True,
        num_units,
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
