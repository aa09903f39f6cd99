"""Which implementation a model runs on: the compiled kernels, or torch's operations.

Nothing here is imported from numba until it is asked for, and where that fails the reason is kept:
every model runs on torch's operations too.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import torch

from dspark_bench.models.kernels.interface import Kernels

HEAD_MULTIPLE = 16
"""The compiled attention mixes values 16 elements at a time."""


class Wanted(StrEnum):
    """What `engine.kernels` may say."""

    AUTO = "auto"
    TORCH = "torch"


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """kernels: None for torch's operations; reason: why it is so, for `doctor` and the records."""

    kernels: Kernels | None
    reason: str

    @property
    def name(self) -> str:
        """`compiled` or `torch`."""
        return "torch" if self.kernels is None else "compiled"

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def choose_kernels(
    wanted: Wanted, dtype: torch.dtype, device: torch.device, head_dim: int
) -> KernelChoice:
    """The compiled kernels where they serve: fp32 on a CPU that has fused multiply-add."""
    if wanted is Wanted.TORCH:
        return KernelChoice(None, "engine.kernels=torch")
    if device.type != "cpu":
        return KernelChoice(None, f"the device is {device.type}")
    if dtype is not torch.float32:
        return KernelChoice(None, f"weights are {str(dtype).removeprefix('torch.')}")
    if head_dim % HEAD_MULTIPLE:
        return KernelChoice(None, f"head_dim is {head_dim}, no multiple of {HEAD_MULTIPLE}")
    return compiled_kernels()


@cache
def compiled_kernels() -> KernelChoice:
    """The compiled kernels of this machine, or why there are none."""
    try:
        from llvmlite import binding
        from numba.core import config
        from numba.core.errors import NumbaError
    except (ImportError, OSError) as error:
        return KernelChoice(None, f"numba cannot be loaded: {error}")
    if getattr(config, "DISABLE_JIT", 0):
        return KernelChoice(None, "NUMBA_DISABLE_JIT is set")
    features = binding.get_host_cpu_features()
    if "fma" in features and not features["fma"]:
        return KernelChoice(None, "this processor has no fused multiply-add")
    try:
        from dspark_bench.models.kernels.compiled import compile_kernels

        return KernelChoice(compile_kernels(), f"numba for {binding.get_host_cpu_name()}")
    except ImportError as error:
        return KernelChoice(None, f"numba cannot be loaded: {error}")
    except (NumbaError, OSError) as error:  # OSError: what was compiled cannot be kept
        return KernelChoice(None, f"numba cannot compile the kernels: {str(error).splitlines()[0]}")
