"""How many requests a margin needs, from a baseline's own variance: `check --plan`."""

from dataclasses import dataclass
from math import ceil, log1p
from statistics import NormalDist
from typing import Final

import numpy as np

from dspark_bench.gate.counts import Counts
from dspark_bench.gate.estimates import AGGREGATES, Evidence, estimate, has_overlaps, trials
from dspark_bench.gate.figures import MIN_REQUESTS, MIN_TRIALS, PASS_LEVEL
from dspark_bench.gate.points import GatePoint
from dspark_bench.gate.statistics import log_ratio_errors, resampling_weights

POWER: Final = 0.95
"""Chance that unchanged code passes one figure at the size that is named."""


@dataclass(frozen=True, slots=True)
class PlanRow:
    """Requests that one figure needs. paired: same prompts, other seeds (along the same records, if
    it is a replay), known where the baseline has two repeats; unpaired: other prompts of the same
    kind, which no check compares, as an upper bound. None: unknown.
    """

    label: str
    figure: str
    num_requests: int
    paired: int | None
    unpaired: int | None


def plan(points: list[GatePoint], margin: float) -> list[PlanRow]:
    """One row per figure that must pass."""
    return [row for point in points for row in _plan_point(point, margin)]


def _plan_point(point: GatePoint, margin: float) -> list[PlanRow]:
    is_replay = point.identity.is_replay
    repeats = point.counts.repeats
    first = repeats[0]
    evidence: Evidence = "expected" if has_overlaps(first.total()) else "counts"
    num_units = len(point.counts.prompts)
    weights = resampling_weights(num_units, 0)
    other = resampling_weights(num_units, 1)
    alone = _errors(first, first, weights, other, evidence, is_replay)
    between = None
    if len(repeats) > 1:
        between = _errors(repeats[0], repeats[1], weights, weights, evidence, is_replay)
    rows = []
    counted = trials(first.total(), evidence, is_replay)
    names = [*AGGREGATES, *(f"acceptance[{k + 1}]" for k in range(point.gamma))]
    for index, name in enumerate(names):
        place = index - len(AGGREGATES)
        if place >= 0 and (not is_replay or evidence == "counts" or counted[place] < MIN_TRIALS):
            continue
        paired = None if between is None else _needed(between[index], num_units, margin)
        unpaired = _needed(alone[index], num_units, margin)
        rows.append(PlanRow(point.label, name, num_units, paired, unpaired))
    return rows


def _errors(
    ours: Counts,
    theirs: Counts,
    weights: np.ndarray,
    other_weights: np.ndarray,
    evidence: Evidence,
    is_replay: bool,
) -> np.ndarray:
    first = estimate(ours.weighted(weights), evidence, is_replay)
    second = estimate(theirs.weighted(other_weights), evidence, is_replay)
    return log_ratio_errors(first, second)


def _needed(error: float, num_units: int, margin: float) -> int | None:
    """Requests at which the bound of an unchanged figure clears the margin with chance `POWER`."""
    if not np.isfinite(error):
        return None
    normal = NormalDist()
    reach = normal.inv_cdf(PASS_LEVEL) + normal.inv_cdf(POWER)
    share = (error * reach / -log1p(-margin)) ** 2
    return max(MIN_REQUESTS, ceil(num_units * share))
