"""`constant`: one request every 1/rate seconds, like a metronome."""

import numpy as np

from dspark_bench.loads.open_loop import FloatArray, OpenLoop, check_rate


class ConstantLoad(OpenLoop):
    """`rate` requests per second, evenly spaced, the first at once."""

    def __init__(self, rate: float, max_concurrency: int) -> None:
        """Raises UsageError for values out of range."""
        check_rate("rate", rate)

        def draw(num_requests: int) -> FloatArray:
            return np.arange(num_requests) / rate

        super().__init__(draw, max_concurrency)
