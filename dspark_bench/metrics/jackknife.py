"""95 % intervals of figures that are formulas over pooled sums: Student's t over units left out.

As for the ratio of two speeds (`log_ratio`): the error is the jackknife's, the degrees of freedom
are Satterthwaite's for units of unequal size, and the quantile is widened by 1 + 1/U. It is taken
on the scale where such a figure is nearly normal: the logarithm, and for a share, which no interval
may carry above 1, the logit.
"""

from collections.abc import Callable

import numpy as np

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import SHARE, degrees_of_freedom, widening
from dspark_bench.metrics.student import two_sided
from dspark_bench.metrics.sums import FloatArray, Sums, ratio


class Jackknife:
    """The sums of one point without each of its units in turn, shared by all of its figures.

    A unit carries both arms, so ratios between arms are paired by construction.
    """

    def __init__(self, sums: Sums) -> None:
        self.total = sums.total()
        self.num_units = sums.num_units
        self._without = sums.without_each()
        self._sizes = _shares(sums.cycles)

    def interval(self, statistic: Callable[[Sums], FloatArray], is_share: bool) -> Interval:
        """Point estimate and interval of `statistic`, which lies in [0, 1] if `is_share`."""
        value = float(statistic(self.total))
        return _interval(value, statistic(self._without), self._sizes, is_share)


def share_intervals(numerators: FloatArray, denominators: FloatArray) -> list[Interval]:
    """Intervals of K shares of pooled sums; numerators, denominators [U, K]."""
    values = ratio(numerators.sum(axis=0), denominators.sum(axis=0))
    without = ratio(
        numerators.sum(axis=0) - numerators, np.maximum(denominators.sum(axis=0) - denominators, 0)
    )
    return [
        _interval(float(value), column, _shares(sizes), is_share=True)
        for value, column, sizes in zip(values, without.T, denominators.T, strict=True)
    ]


def _shares(sizes: FloatArray) -> FloatArray:
    """[U] of the whole; equal where there is none."""
    total = sizes.sum()
    return sizes / total if total > 0 else np.full(len(sizes), 1 / max(len(sizes), 1))


def _interval(value: float, without: FloatArray, sizes: FloatArray, is_share: bool) -> Interval:
    """Without ends for one unit, and where a unit left out leaves the figure undefined."""
    num_units = len(without)
    if np.isnan(value):
        return Interval(None, None, None, num_units)
    if num_units < 2 or np.isnan(without).any():
        return Interval(value, None, None, num_units)
    apart = without - without.mean()
    error = float(np.sqrt((num_units - 1) / num_units * np.sum(apart**2)))
    slope = value * (1 - value) if is_share else value
    if error == 0 or slope <= 0:  # nothing scatters, or the figure is at its end
        return Interval(value, value, value, num_units)
    degrees = float(degrees_of_freedom(sizes))
    if np.isnan(degrees):
        return Interval(value, None, None, num_units)
    reach = np.exp(widening(num_units) * two_sided(SHARE, degrees) * error / slope)
    if not is_share:
        return Interval(value, float(value / reach), float(value * reach), num_units)
    odds = value / (1 - value)
    ends = [float(end / (1 + end)) for end in (odds / reach, odds * reach)]
    return Interval(value, ends[0], ends[1], num_units)
