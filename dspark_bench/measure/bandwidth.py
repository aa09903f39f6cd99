"""Measured memory bandwidth: the floor under a decode step, which must read every weight once."""

import torch

from dspark_bench.core.clock import device_clock

_NUM_BYTES = 128 * 2**20
_NUM_READS = 3


def read_bandwidth_bytes_s(device: torch.device) -> float:
    """Most bytes per second at which 128 MiB, more than caches hold, are read and summed."""
    clock = device_clock(device)
    source = torch.ones(_NUM_BYTES // 4, dtype=torch.float32, device=device)
    best_s = float("inf")
    for _ in range(_NUM_READS):
        started_s = clock()
        source.sum()
        best_s = min(best_s, clock() - started_s)
    return _NUM_BYTES / best_s
