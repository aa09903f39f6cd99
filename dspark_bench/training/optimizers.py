"""Muon for the matrices inside a network, AdamW for everything else.

Muon (Jordan et al. 2024) orthogonalises a matrix's momentum before the step; its updates are scaled
to AdamW's usual size (Liu et al. 2025), so that both share one learning rate. Tables indexed by
tokens, norms and biases are AdamW's. Called by both trainers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dspark_bench.training.muon import WideMuon

TABLES = ("embed", "lm_head", "markov_w")
"""Parts of the names of parameters whose rows belong to tokens."""


@dataclass(frozen=True)
class OptimizerRecipe:
    """Decay applies to Muon's matrices only. is_wide: orthogonalise in fp32, not in bf16, which a
    processor without bf16 arithmetic multiplies some fifty times more slowly.
    """

    weight_decay: float = 0.0
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.95
    is_wide: bool = False


class MuonAdamW:
    """Two optimisers stepped as one."""

    def __init__(
        self, parameters: Iterable[tuple[str, nn.Parameter]], recipe: OptimizerRecipe
    ) -> None:
        """parameters: name and value, as `named_parameters` yields them."""
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in parameters:
            (matrices if _is_inner_matrix(name, parameter) else others).append(parameter)
        self._optimizers: list[torch.optim.Optimizer] = []
        if matrices:
            self._optimizers.append(_muon(matrices, recipe))
        if others:
            betas = (recipe.beta1, recipe.beta2)
            self._optimizers.append(torch.optim.AdamW(others, betas=betas, weight_decay=0.0))

    def step(self, lr: float) -> None:
        """One update at learning rate `lr`; clears the gradients."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps."""
        return [optimizer.state_dict() for optimizer in self._optimizers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take up what `state_dict` gave."""
        for optimizer, state in zip(self._optimizers, states, strict=True):
            optimizer.load_state_dict(state)


def _muon(matrices: list[Tensor], recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    if recipe.is_wide:
        return WideMuon(matrices, recipe.weight_decay, recipe.momentum)
    return torch.optim.Muon(
        matrices,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
        adjust_lr_fn="match_rms_adamw",
    )


def _is_inner_matrix(name: str, parameter: nn.Parameter) -> bool:
    is_table = any(part in name for part in TABLES)
    return parameter.ndim == 2 and min(parameter.shape) > 1 and not is_table
