"""The level of intervals that are looked at several times while their data grows.

Repeated confidence intervals (Jennison and Turnbull 1989): the level of each is so high that those
of all looks together hold the truth in 95 % of cases, whichever look the data ends at and for
whatever reason. It is Pocock's (1977), for looks at any numbers of units. Since the looks share
their data, that takes less than an equal part of the error for each (Bonferroni).
"""

from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist
from typing import Final

import numpy as np

from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.metrics.units import FloatArray

_NODES: Final = 48
_HALVINGS: Final = 40
_NORMAL: Final = NormalDist()


@lru_cache(maxsize=256)
def level_at(units: tuple[int, ...]) -> float:
    """The share that the interval of each look is to cover: 0.95 for one look, more for several.

    units: at each look, rising. Found for the normal: the bound that a sum of independent units, as
    a multiple of its standard error, stays within at all looks with probability 0.95. Raises
    ValueError for numbers of units that do not rise from 1 or more.
    """
    if not units or units[0] < 1 or any(after <= before for before, after in pairwise(units)):
        raise ValueError(f"looks are at {units}; valid: one or more, rising from 1 or more")
    low, high = 1.0, 6.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _stays_within(middle, units) < SHARE:
            low = middle
        else:
            high = middle
    return 2 * _NORMAL.cdf(high) - 1


def _stays_within(bound: float, units: tuple[int, ...]) -> float:
    """By the recursion of Armitage, McPherson and Rowe (1969), on Gauss and Legendre's nodes."""
    spreads = np.sqrt(np.array(units) / units[-1])
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    places = bound * spreads[0] * nodes
    density = _normal(places, spreads[0])
    for before, after in pairwise(spreads):
        mass, old = weights * bound * before * density, places
        places = bound * after * nodes
        density = _normal(places[:, None] - old, np.sqrt(after**2 - before**2)) @ mass
    return float((weights * bound * spreads[-1] * density).sum())


def _normal(places: FloatArray, spread: float) -> FloatArray:
    return np.asarray(np.exp(-((places / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi)))
