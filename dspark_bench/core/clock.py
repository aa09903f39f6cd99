"""The clock as an argument: wall time in seconds, read after the device has finished."""

from collections.abc import Callable
from time import perf_counter

import torch

Clock = Callable[[], float]


def device_clock(device: torch.device) -> Clock:
    """Clock for work on `device`; on CUDA each reading waits for the queued kernels first."""
    if device.type != "cuda":
        return perf_counter

    def synchronised() -> float:
        torch.cuda.synchronize(device)
        return perf_counter()

    return synchronised
