"""`gamma`: bursty traffic; gaps follow a gamma law whose coefficient of variation is a setting."""

import math

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.open_loop import FloatArray, OpenLoop, check_rate, check_seed


class GammaLoad(OpenLoop):
    """`rate` requests per second; burstiness 1 is Poisson, above it bursts, below it regular."""

    def __init__(self, rate: float, burstiness: float, max_concurrency: int, seed: int) -> None:
        """Raises UsageError for values out of range."""
        check_rate("rate", rate)
        check_seed(seed)
        if not (math.isfinite(burstiness) and burstiness > 0):
            raise UsageError(f"load.burstiness is {burstiness}; valid: above 0")
        shape = burstiness**-2

        def draw(num_requests: int) -> FloatArray:
            gaps = np.random.default_rng(seed).gamma(shape, 1 / (rate * shape), num_requests)
            return np.cumsum(gaps)

        super().__init__(draw, max_concurrency)
