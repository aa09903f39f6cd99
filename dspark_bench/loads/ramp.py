"""`ramp`: Poisson traffic whose rate moves in a straight line, then stays.

With rate r(t) = r0 + (r1 - r0) t/T up to T, the k-th arrival is where the integral of r reaches the
k-th arrival of a Poisson process of rate 1.
"""

import math

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.open_loop import FloatArray, OpenLoop, check_rate, check_seed


class RampLoad(OpenLoop):
    """From `start_rate` to `end_rate` requests per second within `duration_s`."""

    def __init__(
        self,
        start_rate: float,
        end_rate: float,
        duration_s: float,
        max_concurrency: int,
        seed: int,
    ) -> None:
        """Raises UsageError for values out of range."""
        check_rate("start_rate", start_rate)
        check_rate("end_rate", end_rate)
        check_seed(seed)
        if not (math.isfinite(duration_s) and duration_s > 0):
            raise UsageError(f"load.duration_s is {duration_s}; valid: above 0 seconds")

        def draw(num_requests: int) -> FloatArray:
            counts = np.cumsum(np.random.default_rng(seed).exponential(1.0, num_requests))
            return _when(counts, start_rate, end_rate, duration_s)

        super().__init__(draw, max_concurrency)
        self._rates = start_rate, end_rate
        self._duration_s = duration_s

    def notes(self, num_requests: int) -> tuple[str, ...]:
        """See `OpenLoop.notes`: a ramp that ends before its end rate is another load."""
        last_s = self.last_arrival_s(num_requests)
        if last_s >= self._duration_s:
            return ()
        start, end = self._rates
        reached = start + (end - start) * last_s / self._duration_s
        return (
            f"load=ramp: the last of {num_requests} requests arrives after {last_s:.3g} of "
            f"load.duration_s={self._duration_s:g} s, at {reached:.3g} requests/s: the end rate "
            f"{end:g} is not reached",
        )


def _when(counts: FloatArray, start: float, end: float, duration_s: float) -> FloatArray:
    """Times at which the expected number of arrivals reaches `counts`."""
    slope = (end - start) / duration_s
    at_end = (start + end) / 2 * duration_s
    after = duration_s + (counts - at_end) / end
    root = np.sqrt(np.maximum(start**2 + 2 * slope * counts, 0.0))
    # The stable form of the quadratic's root: it holds for a slope of zero too.
    during = 2 * counts / (start + root)
    return np.asarray(np.where(counts <= at_end, during, after))
