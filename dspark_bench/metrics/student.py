"""Student's t at 95 %, for intervals that rest on few units."""

import math

_SHARE = 0.95
_FAR = 60


def two_sided_95(degrees: int) -> float:
    """t with P(|T| <= t) = 0.95, by bisection. degrees: 1 or more."""
    low, high = 0.0, 20.0
    for _ in range(_FAR):
        middle = (low + high) / 2
        if _central_share(middle, degrees) < _SHARE:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _central_share(t: float, degrees: int) -> float:
    """P(|T| <= t): the finite series for whole degrees (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan2(t, math.sqrt(degrees))
    cosine = math.cos(angle)
    is_odd = degrees % 2 == 1
    term = cosine if is_odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 if is_odd else 1, degrees - 1, 2):
        term *= cosine * cosine * k / (k + 1)
        total += term
    share = math.sin(angle) * total
    return 2 / math.pi * (angle + share) if is_odd else share
