"""One point against its baseline: what both measured, and the figures that come of it."""

from dataclasses import dataclass

import numpy as np

from dspark_bench.core.errors import ResultsError
from dspark_bench.gate.counts import Counts, PromptCounts
from dspark_bench.gate.estimates import AGGREGATES, Evidence, estimate, has_overlaps, trials
from dspark_bench.gate.figures import MIN_TRIALS, Figure, PointComparison, make_figure
from dspark_bench.gate.points import GatePoint
from dspark_bench.gate.statistics import log_ratio_errors, resampling_weights
from dspark_bench.metrics.sums import FloatArray


@dataclass(frozen=True, slots=True)
class Pair:
    """Counts that both have: same prompts [U], same repeats. is_replay: along records."""

    ours: Counts
    theirs: Counts
    is_replay: bool


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

    is_replay = point.identity.is_replay and baseline.identity.is_replay
    return Pair(chosen(point.counts), chosen(baseline.counts), is_replay)


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
            make_figure(
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
    return make_figure(
        ("speedup", None, "times"),
        (values[0], values[1]),
        error,
        num_units,
        margin,
        True,
        num_units,
    )
