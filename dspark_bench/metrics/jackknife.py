"""95 % intervals of figures that are formulas over pooled sums: Student's t over units left out.

As for the ratio of two speeds (`log_ratio`): the error is the jackknife's, the degrees of freedom
are Satterthwaite's for units of unequal size, and the quantile is widened by 1 + 1/U. It is taken
on the scale where such a figure is nearly normal: the logarithm, and for a share, which no interval
may carry above 1, the logit. Where no unit differs from another, a share has the exact interval of
so many units (`exact_share`), and another figure has none: nothing tells how sure it is.
"""

from collections.abc import Callable, Sequence

import numpy as np

from dspark_bench.metrics.exact_share import effective_units, exact_share
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import NO_SCATTER, SHARE
from dspark_bench.metrics.strata import (
    IntArray,
    error_and_degrees,
    strata_of,
    sums_without_each,
    widening,
)
from dspark_bench.metrics.student import two_sided
from dspark_bench.metrics.sums import FloatArray, Sums, ratio

Formula = Callable[[Sums], FloatArray]
"""Of sums [...], a figure [...]."""


class Jackknife:
    """The sums of one point without each of its units in turn, shared by all of its figures.

    A unit carries both arms, so ratios between arms are paired by construction. strata [U]: a
    number per stratum of the units, as in `log_ratio`; share: what the intervals are to cover.
    """

    def __init__(self, sums: Sums, strata: IntArray | None = None, share: float = SHARE) -> None:
        self._sums, self._share = sums, share
        self.total = sums.total()
        self.num_units = sums.num_units
        self._strata = strata_of(strata, sums.num_units)
        self._without = sums.without_each(self._strata)
        self._sizes = _shares(sums.cycles)

    def interval(self, statistic: Formula, trials: Formula | None = None) -> Interval:
        """Point estimate and interval of `statistic`.

        trials: what it is a share of, for a figure in [0, 1]; None for any other.
        """
        value = float(statistic(self.total))
        counts = None if trials is None else trials(self._sums)
        without = statistic(self._without)
        return _interval(value, without, self._sizes, counts, self._strata, self._share)


def share_intervals(
    numerators: FloatArray,
    denominators: FloatArray,
    strata: IntArray | None = None,
    share: float = SHARE,
) -> list[Interval]:
    """Intervals of K shares of pooled sums; numerators, denominators [U, K]; strata [U]; share:
    what they are to cover.
    """
    parts = strata_of(strata, len(numerators))
    values = ratio(numerators.sum(axis=0), denominators.sum(axis=0))
    without = ratio(
        sums_without_each(numerators, parts), np.maximum(sums_without_each(denominators, parts), 0)
    )
    return [
        _interval(float(value), column, _shares(sizes), sizes, parts, share)
        for value, column, sizes in zip(values, without.T, denominators.T, strict=True)
    ]


def _shares(sizes: FloatArray) -> FloatArray:
    """[U] of the whole; equal where there is none."""
    total = sizes.sum()
    return sizes / total if total > 0 else np.full(len(sizes), 1 / max(len(sizes), 1))


def _interval(
    value: float,
    without: FloatArray,
    sizes: FloatArray,
    trials: FloatArray | None,
    strata: Sequence[IntArray],
    share: float,
) -> Interval:
    """Without ends for one unit, and where a unit left out leaves the figure undefined.

    without [U]: the figure without each unit; sizes [U]: shares of the whole; trials [U]: what the
    figure is a share of, if it is one.
    """
    num_units = len(without)
    if np.isnan(value):
        return Interval(None, None, None, num_units)
    if num_units < 2 or np.isnan(without).any():
        return Interval(value, None, None, num_units)
    error, degrees = map(float, error_and_degrees(without, sizes, strata))
    slope = value if trials is None else value * (1 - value)
    if slope <= 0 or error <= NO_SCATTER * slope:  # a share at its end among them
        if trials is None:
            return Interval(value, None, None, num_units)
        return Interval(value, *exact_share(value, effective_units(trials), share), num_units)
    if np.isnan(degrees):
        return Interval(value, None, None, num_units)
    reach = np.exp(widening(num_units, len(strata)) * two_sided(share, degrees) * error / slope)
    if trials is None:
        return Interval(value, float(value / reach), float(value * reach), num_units)
    odds = value / (1 - value)
    ends = [float(end / (1 + end)) for end in (odds / reach, odds * reach)]
    return Interval(value, ends[0], ends[1], num_units)
