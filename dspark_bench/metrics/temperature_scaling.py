"""Sequential temperature scaling: one temperature per draft position, fitted from left to right.

The paper's method: T_k minimises the ECE of the survival estimate at k, the running product of
sigma(logit(c_i) / T_i), with T_1 to T_{k-1} fixed. A one-dimensional search on a log-spaced grid.
"""

from typing import Final

import numpy as np

from dspark_bench.core.calibration import from_log_odds, log_odds
from dspark_bench.metrics.calibration import Trials, brier, ece
from dspark_bench.metrics.sums import FloatArray

COARSE_GRID: Final = (0.1, 10.0, 41)
FINE_POINTS: Final = 17
NUM_REFINEMENTS: Final = 2
ECE_TOLERANCE: Final = 0.001
"""ECE is a noisy, stepwise objective: differences below this are no evidence (its own sampling
noise is several times larger at 20,000 cycles). Among temperatures that are this close to the
smallest ECE, the one with the best Brier score is taken, which is smooth and proper."""
MIN_OUTCOMES: Final = 50
"""A position with fewer drafts of either outcome keeps temperature 1: nothing could be fitted."""


def fit_temperatures(trials: Trials) -> tuple[float, ...]:
    """T_1 to T_K, each above 0, from trials of full-width cycles."""
    odds = log_odds(trials.confidence)
    survival = np.ones(trials.num_cycles)
    temperatures = []
    for place in range(trials.num_positions):
        is_known = trials.is_known(place + 1)
        outcome = trials.outcome(place + 1)[is_known]
        found = 1.0
        if min(outcome.sum(), outcome.size - outcome.sum()) >= MIN_OUTCOMES:
            found = fit_temperature(odds[is_known, place], survival[is_known], outcome)
        temperatures.append(found)
        survival = survival * from_log_odds(odds[:, place] / found)
    return tuple(temperatures)


def fit_temperature(odds: FloatArray, before: FloatArray, outcome: FloatArray) -> float:
    """The temperature of one position.

    odds [n] of its confidence; before [n]: calibrated survival up to the position before it;
    outcome [n]: 1 where it survived. All three of the cycles in which that is known.
    """
    low, high, count = COARSE_GRID
    grid = np.geomspace(low, high, count)
    best = _best(grid, odds, before, outcome)
    for _ in range(NUM_REFINEMENTS):
        step = grid[1] / grid[0]
        grid = np.geomspace(max(best / step, low), min(best * step, high), FINE_POINTS)
        best = _best(grid, odds, before, outcome)
    return best


def _best(grid: FloatArray, odds: FloatArray, before: FloatArray, outcome: FloatArray) -> float:
    """Best Brier score among the temperatures whose ECE is within tolerance of the smallest."""
    predicted = [before * from_log_odds(odds / temperature) for temperature in grid]
    errors = np.array([ece(values, outcome) for values in predicted])
    close = np.flatnonzero(errors <= errors.min() + ECE_TOLERANCE)
    scores = [brier(predicted[place], outcome) for place in close]
    return float(grid[close[int(np.argmin(scores))]])
