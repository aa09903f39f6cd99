"""95 % percentile bootstrap over units, vectorised: resampled sums first, then one formula."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from dspark_bench.metrics.sums import FloatArray, Sums, ratio

NUM_RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval and the number of units it rests on.

    value is None where the figure does not exist; low and high also with fewer than two units.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, float | int | None]:
        """value, low, high, n."""
        return asdict(self)

    def text(self, digits: int = 2) -> str:
        """Such as `1.16 [1.12-1.20]`, `1.16` without bounds, `-` without a value."""
        if self.value is None:
            return "-"
        value = f"{self.value:.{digits}f}"
        if self.low is None or self.high is None:
            return value
        return f"{value} [{self.low:.{digits}f}-{self.high:.{digits}f}]"


def draw_units(num_units: int, seed: int, num_resamples: int = NUM_RESAMPLES) -> FloatArray:
    """[N, U] how often each resample draws each unit."""
    shares = np.full(num_units, 1 / num_units)
    draws = np.random.default_rng(seed).multinomial(num_units, shares, num_resamples)
    return draws.astype(np.float64)


def bootstrap_ratios(numerators: FloatArray, denominators: FloatArray, seed: int) -> list[Interval]:
    """Intervals of K ratios of sums over units; numerators, denominators [U, K]."""
    num_units = len(numerators)
    values = ratio(numerators.sum(axis=0), denominators.sum(axis=0))
    if num_units < 2:
        return [_known(value, None, num_units) for value in values]
    draws = draw_units(num_units, seed)
    resampled = ratio(draws @ numerators, draws @ denominators)
    return [
        _known(value, column, num_units) for value, column in zip(values, resampled.T, strict=True)
    ]


def _known(value: float, resampled: FloatArray | None, n: int) -> Interval:
    """Undefined resamples are left out, as they are where a draw holds no trial at all."""
    if np.isnan(value):
        return Interval(None, None, None, n)
    if resampled is None:
        return Interval(float(value), None, None, n)
    low, high = np.percentile(resampled[~np.isnan(resampled)], PERCENTILES)
    return Interval(float(value), float(low), float(high), n)


class Bootstrap:
    """Resamples of one point's units, shared by all of its figures.

    A unit carries both arms, so ratios between arms are paired by construction.
    """

    def __init__(self, sums: Sums, seed: int, num_resamples: int = NUM_RESAMPLES) -> None:
        self.total = sums.total()
        self.num_units = sums.num_units
        self._resampled: Sums | None = None
        if self.num_units > 1:
            self._resampled = sums.weighted(draw_units(self.num_units, seed, num_resamples))

    def interval(self, statistic: Callable[[Sums], FloatArray]) -> Interval:
        """Point estimate and 2.5 / 97.5 percentiles of `statistic`."""
        resampled = None if self._resampled is None else statistic(self._resampled)
        return _known(float(statistic(self.total)), resampled, self.num_units)
