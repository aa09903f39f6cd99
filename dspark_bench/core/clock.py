"""The clock as an argument: wall time in seconds, read after the device has finished."""

from collections.abc import Callable
from time import perf_counter

import torch

from dspark_bench.core.errors import TimeLimitError

Clock = Callable[[], float]


def device_clock(device: torch.device) -> Clock:
    """Clock for work on `device`; on CUDA each reading waits for the queued kernels first."""
    if device.type != "cuda":
        return perf_counter

    def synchronised() -> float:
        torch.cuda.synchronize(device)
        return perf_counter()

    return synchronised


def limited(clock: Clock, left_s: float, limit_s: float) -> Clock:
    """The same clock, which raises TimeLimitError once it is read more than `left_s` from now.

    limit_s: for the message. Whoever times work reads the clock often, so nothing else need look.
    """
    end_s = clock() + left_s

    def read() -> float:
        now_s = clock()
        if now_s > end_s:
            raise TimeLimitError(f"over its time limit: measure.time_limit_s is {limit_s:g}")
        return now_s

    return read
