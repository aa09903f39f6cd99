"""Student's t for any share and any degrees of freedom, whole or not; its two tails."""

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from dspark_bench.metrics.units import FloatArray

_HALVINGS = 64
_MOST_TERMS = 400
_KNOTS = 128
_TINY = 1e-300


@lru_cache(maxsize=1024)
def two_sided(share: float, degrees: float) -> float:
    """t with P(|T| <= t) = share, by bisection. share: in (0, 1); degrees: 1 or more."""
    low, high = 0.0, 1.0  # of x = degrees / (degrees + t^2), which falls as t grows
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if incomplete_beta(middle, degrees / 2, 0.5) < 1 - share:
            low = middle
        else:
            high = middle
    x = (low + high) / 2
    return math.sqrt(degrees * (1 - x) / x)


def two_sided_95(degrees: float) -> float:
    """t with P(|T| <= t) = 0.95. degrees: 1 or more."""
    return two_sided(0.95, degrees)


def two_sided_many(share: float, degrees: FloatArray) -> FloatArray:
    """`two_sided` of many degrees [...], each 1 or more, interpolated (relative error 1e-4)."""
    inverse, logs = _table(share)
    return np.exp(np.interp(1 / degrees, inverse, logs))


def both_tails(t: float, degrees: float) -> float:
    """P(|T| >= |t|): the two-sided p-value. degrees: 1 or more."""
    if math.isinf(t):
        return 0.0
    return incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


@lru_cache(maxsize=64)
def _table(share: float) -> tuple[FloatArray, FloatArray]:
    """1 / degrees from 0 (the normal) to 1, and log t there: smooth in between."""
    inverse = np.linspace(0, 1, _KNOTS + 1)
    normal = NormalDist().inv_cdf((1 + share) / 2)
    known = [normal, *(two_sided(share, 1 / one) for one in inverse[1:])]
    return inverse, np.log(known)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b) by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logs + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), _TINY)
    found = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            found *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * found
