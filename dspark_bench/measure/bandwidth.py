"""Measured memory bandwidth: the floor under a decode step, which must read every weight once."""

import torch

from dspark_bench.core.clock import device_clock

_NUM_BYTES = 128 * 2**20
_NUM_COPIES = 5


def copy_bandwidth_bytes_s(device: torch.device) -> float:
    """Best bytes read plus bytes written per second over a few copies of 128 MiB."""
    clock = device_clock(device)
    source = torch.ones(_NUM_BYTES // 4, dtype=torch.float32, device=device)
    copy = torch.empty_like(source)
    best_s = float("inf")
    for _ in range(_NUM_COPIES):
        started_s = clock()
        copy.copy_(source)
        best_s = min(best_s, clock() - started_s)
    return 2 * _NUM_BYTES / best_s
