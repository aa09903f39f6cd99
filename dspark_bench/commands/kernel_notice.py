"""A word to whoever waits while the CPU kernels are compiled, once on a machine."""

from collections.abc import Callable
from threading import Timer

import torch
from rich.console import Console

from dspark_bench.config.point_config import PointConfig
from dspark_bench.engine.chain_verdicts import chain_judge
from dspark_bench.measure.build import choose_device, choose_dtype
from dspark_bench.models.kernels.choice import KernelChoice, Wanted, compiled_kernels

PATIENCE_S = 2.0
NOTICE = "compiling the CPU kernels: once on this machine, up to a minute"


def prepare_kernels(point: PointConfig, console: Console) -> None:
    """Compile the kernels that the point may run on, before anything is timed or shown."""
    device = choose_device(point)
    is_served = device.type == "cpu" and choose_dtype(point, device) is torch.float32
    if is_served and point.engine.kernels != Wanted.TORCH:
        load_kernels(lambda line: console.print(line, highlight=False))
    if device.type == "cpu" and not point.sampling.is_greedy:
        chain_judge()


def load_kernels(say: Callable[[str], None], patience_s: float = PATIENCE_S) -> KernelChoice:
    """`compiled_kernels`; where that takes longer than `patience_s`, `say` is told why, once."""
    notice = Timer(patience_s, say, [NOTICE])
    notice.daemon = True
    notice.start()
    try:
        return compiled_kernels()
    finally:
        notice.cancel()
