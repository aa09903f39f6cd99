"""`poisson`: independent users; gaps between requests are exponential."""

import numpy as np

from dspark_bench.loads.open_loop import FloatArray, OpenLoop, check_rate, check_seed


class PoissonLoad(OpenLoop):
    """`rate` requests per second on average, gaps with coefficient of variation 1."""

    def __init__(self, rate: float, max_concurrency: int, seed: int) -> None:
        """Raises UsageError for values out of range."""
        check_rate("rate", rate)
        check_seed(seed)

        def draw(num_requests: int) -> FloatArray:
            gaps = np.random.default_rng(seed).exponential(1 / rate, num_requests)
            return np.cumsum(gaps)

        super().__init__(draw, max_concurrency)
