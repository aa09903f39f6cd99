"""Muon in fp32: torch's own multiplies in bf16 whatever the processor.

The update is that of `torch.optim.Muon` with Nesterov's momentum and the scale of AdamW's updates:
five Newton-Schulz steps of the quintic of Jordan et al. (2024), 0.2 sqrt(max(rows, columns)) of
Liu et al. (2025).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import Tensor

COEFFICIENTS: Final = (3.4445, -4.775, 2.0315)
NUM_STEPS: Final = 5
_LEAST_NORM: Final = 1e-7
_SCALE: Final = 0.2


class WideMuon(torch.optim.Optimizer):
    """For matrices alone."""

    def __init__(self, matrices: Iterable[Tensor], weight_decay: float, momentum: float) -> None:
        settings = {"lr": 1e-3, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(matrices, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient. closure: is not called."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                buffer = state["momentum_buffer"]
                buffer.lerp_(matrix.grad, 1 - momentum)
                update = orthogonal(matrix.grad.lerp(buffer, momentum))
                matrix.mul_(1 - lr * group["weight_decay"])
                matrix.add_(update, alpha=-lr * _SCALE * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: Tensor) -> Tensor:
    """[R, C] with all singular values brought near 1 (to between about 0.7 and 1.2)."""
    a, b, c = COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=_LEAST_NORM)
    for _ in range(NUM_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x
