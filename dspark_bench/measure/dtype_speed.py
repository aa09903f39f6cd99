"""Which dtype a decode step is faster in on this CPU: one row times weights that no cache holds.

The weights are as most checkpoints store them, in bf16: compiled kernels keep 16 bits of them.
"""

from dataclasses import dataclass
from statistics import median

import torch

from dspark_bench.core.clock import device_clock
from dspark_bench.models.kernels.choice import Wanted, choose_kernels
from dspark_bench.models.linear import Linear

_WIDTH = 3072
_NUM_PRODUCTS = 7
_CLEAR = 1.1
"""How many times faster bfloat16 has to be before its rounding is worth it."""


@dataclass(frozen=True, slots=True)
class DtypeSpeed:
    """Seconds of one product of the same size in each dtype, the model's own kernels included."""

    float32_s: float
    bfloat16_s: float

    @property
    def choice(self) -> str:
        """`float32`, unless bfloat16 is clearly faster."""
        return "bfloat16" if self.bfloat16_s * _CLEAR < self.float32_s else "float32"

    def __str__(self) -> str:
        times = f"float32 {1e3 * self.float32_s:.1f} ms, bfloat16 {1e3 * self.bfloat16_s:.1f} ms"
        advice = f"engine.dtype={self.choice} suits this CPU"
        return f"{advice}: one row times {_WIDTH} x {_WIDTH} weights of bf16 takes {times}"


def dtype_speed() -> DtypeSpeed:
    """Measure both, a product of one after one of the other, after one of each to warm up."""
    makers = [_product(dtype) for dtype in (torch.float32, torch.bfloat16)]
    clock = device_clock(torch.device("cpu"))
    seconds: list[list[float]] = [[], []]
    with torch.inference_mode():
        for _ in range(_NUM_PRODUCTS + 1):
            for (linear, x), found in zip(makers, seconds, strict=True):
                started_s = clock()
                linear(x)
                found.append(clock() - started_s)
    return DtypeSpeed(median(seconds[0][1:]), median(seconds[1][1:]))


def _product(dtype: torch.dtype) -> tuple[Linear, torch.Tensor]:
    kernels = choose_kernels(Wanted.AUTO, dtype, torch.device("cpu"), 64).kernels
    weight = torch.ones(_WIDTH, _WIDTH, dtype=dtype)
    return Linear(weight, None, kernels), torch.ones(1, _WIDTH, dtype=dtype)
