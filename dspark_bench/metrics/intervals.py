"""95 % percentile bootstrap over units, vectorised: resampled sums first, then one formula."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from dspark_bench.metrics.sums import FloatArray, Sums

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


class Bootstrap:
    """Resamples of one point's units, shared by all of its figures.

    A unit carries both arms, so ratios between arms are paired by construction.
    """

    def __init__(self, sums: Sums, seed: int, num_resamples: int = NUM_RESAMPLES) -> None:
        self.total = sums.total()
        self.num_units = sums.num_units
        self._resampled: Sums | None = None
        if self.num_units > 1:
            shares = np.full(self.num_units, 1 / self.num_units)
            draws = np.random.default_rng(seed).multinomial(self.num_units, shares, num_resamples)
            self._resampled = sums.weighted(draws.astype(np.float64))

    def interval(self, statistic: Callable[[Sums], FloatArray]) -> Interval:
        """Point estimate and 2.5 / 97.5 percentiles of `statistic`; undefined resamples are left
        out, as they are where a draw holds no trial at all.
        """
        value = float(statistic(self.total))
        if np.isnan(value):
            return Interval(None, None, None, self.num_units)
        if self._resampled is None:
            return Interval(value, None, None, self.num_units)
        values = statistic(self._resampled)
        low, high = np.percentile(values[~np.isnan(values)], PERCENTILES)
        return Interval(value, float(low), float(high), self.num_units)
