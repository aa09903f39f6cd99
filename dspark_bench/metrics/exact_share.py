"""An interval of a share whose units do not scatter: Clopper and Pearson's, of whole units.

Where every unit shows the same share there is no scatter to take an error from, above all at the
ends: 0 of all, or all of all. That says little from six units and much from a thousand. A unit's
trials may hang together as closely as they like, so each unit counts as one trial. At the ends this
is a bound without assumptions: a unit whose share has mean p is all ones with chance p at most.
"""

import numpy as np

from dspark_bench.metrics.student import incomplete_beta
from dspark_bench.metrics.units import FloatArray

_HALVINGS = 64


def exact_share(value: float, num_units: float, share: float) -> tuple[float, float]:
    """Ends of the interval that holds the true share with probability `share` or more.

    value: the share found, in [0, 1]; num_units: above 0, whole or not (`effective_units`).
    """
    tail = (1 - share) / 2
    found, missed = value * num_units, (1 - value) * num_units
    low = 0.0 if found <= 0 else _quantile(tail, found, missed + 1)
    high = 1.0 if missed <= 0 else 1 - _quantile(tail, missed, found + 1)
    return low, high


def effective_units(sizes: FloatArray) -> float:
    """Kish's number of units of equal size that say as much as these: (sum n)^2 / sum(n^2).

    sizes [U]: trials of each unit, 0 or more. 0 where there is none.
    """
    squares = float((sizes**2).sum())
    return float(sizes.sum()) ** 2 / squares if squares > 0 else 0.0


def _quantile(level: float, a: float, b: float) -> float:
    """x with I_x(a, b) = level, by bisection on log x, so that small ones are as exact."""
    low, high = float(np.log(level) / a - 50.0), 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if incomplete_beta(float(np.exp(middle)), a, b) < level:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))
