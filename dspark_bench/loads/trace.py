"""`trace`: arrivals as somebody recorded them, faster or slower by a factor."""

import math
from pathlib import Path

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.open_loop import FloatArray, OpenLoop
from dspark_bench.loads.trace_files import read_trace


class TraceLoad(OpenLoop):
    """The first rows of a trace file; their gaps are multiplied by `time_scale`."""

    def __init__(
        self,
        path: str | Path | None,
        time_scale: float,
        max_concurrency: int,
        time_unit: str | None = None,
    ) -> None:
        """Raises UsageError for values out of range and for files that cannot be read."""
        if path is None:
            raise UsageError("load.path is not given; valid: a Mooncake, BurstGPT or Azure trace")
        if not (math.isfinite(time_scale) and time_scale > 0):
            raise UsageError(f"load.time_scale is {time_scale}; valid: above 0")
        trace = read_trace(Path(path))
        unit_s = trace.seconds(Path(path), time_unit)
        self._origin_s = 0.0 if trace.is_dated else trace.origin * unit_s
        self._name = Path(path).name
        rows = trace.rows

        def draw(num_requests: int) -> FloatArray:
            if num_requests > len(rows):
                raise UsageError(
                    f"num_requests is {num_requests}; valid for {path}: 1 to {len(rows)}"
                )
            times = np.array([row.time for row in rows[:num_requests]])
            return np.asarray(times * (unit_s * time_scale))

        super().__init__(draw, max_concurrency)

    def notes(self, num_requests: int) -> tuple[str, ...]:
        """See `OpenLoop.notes`."""
        if self._origin_s == 0:
            return ()
        return (
            f"load=trace: {self._name} begins at {self._origin_s:g} s; arrivals are counted from "
            "its first row",
        )
