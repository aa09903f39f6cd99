"""Non-inferiority of a ratio by bootstrap over prompts, and Holm's step-down over many of them."""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np

from dspark_bench.metrics.sums import FloatArray

NUM_RESAMPLES: Final = 2000
_NORMAL: Final = NormalDist()


@lru_cache(maxsize=4)
def resampling_weights(num_units: int, seed: int, num_resamples: int = NUM_RESAMPLES) -> FloatArray:
    """[N, U]: how often each resample draws each unit. Read-only: the same for the same numbers."""
    shares = np.full(num_units, 1 / num_units)
    draws = np.random.default_rng(seed).multinomial(num_units, shares, num_resamples)
    weights = draws.astype(np.float64)
    weights.flags.writeable = False
    return weights


def log_ratio_errors(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """Bootstrap standard errors [M] of log(ours / theirs), resamples [N, M] in step.

    NaN where a resample leaves either side undefined or zero.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(ours) - np.log(theirs)
    logs = np.where(np.isfinite(logs), logs, np.nan)
    spread: FloatArray = logs.std(axis=0, ddof=1)
    return spread


def lower_tail(statistic: float, degrees: int) -> float:
    """P(T <= statistic) of Student's t, by Wallace's transform to a normal (error below 1e-3)."""
    if math.isinf(statistic):
        return 0.0 if statistic < 0 else 1.0
    z = math.sqrt(degrees * math.log1p(statistic**2 / degrees)) * _wallace(degrees)
    return _NORMAL.cdf(math.copysign(z, statistic))


def quantile(level: float, degrees: int) -> float:
    """The t value below which a share `level` lies; inverse of `lower_tail`."""
    z = _NORMAL.inv_cdf(level)
    t = math.sqrt(degrees * math.expm1((z / _wallace(degrees)) ** 2 / degrees))
    return math.copysign(t, z)


def _wallace(degrees: int) -> float:
    return (8 * degrees + 1) / (8 * degrees + 3)


def distance(log_ratio: float, margin: float, error: float) -> float:
    """Standard errors by which a ratio lies above 1 - margin; infinite where nothing varies."""
    gap = log_ratio - math.log1p(-margin)
    if error == 0:
        return math.copysign(math.inf, gap) if gap else math.inf
    return gap / error


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those below a level keeps the chance of any false rejection
    below it, however the tests depend on each other.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [1.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
