"""`trace`: arrivals as somebody recorded them, faster or slower by a factor."""

import math
from pathlib import Path

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.open_loop import FloatArray, OpenLoop
from dspark_bench.loads.trace_files import read_trace


class TraceLoad(OpenLoop):
    """The first rows of a trace file; their gaps are multiplied by `time_scale`."""

    def __init__(self, path: str | Path | None, time_scale: float, max_concurrency: int) -> None:
        """Raises UsageError for values out of range and for files that cannot be read."""
        if path is None:
            raise UsageError("load.path is not given; valid: a Mooncake, BurstGPT or Azure trace")
        if not (math.isfinite(time_scale) and time_scale > 0):
            raise UsageError(f"load.time_scale is {time_scale}; valid: above 0")
        rows = read_trace(Path(path))

        def draw(num_requests: int) -> FloatArray:
            if num_requests > len(rows):
                raise UsageError(
                    f"num_requests is {num_requests}; valid for {path}: 1 to {len(rows)}"
                )
            return np.array([row.arrival_s for row in rows[:num_requests]]) * time_scale

        super().__init__(draw, max_concurrency)
