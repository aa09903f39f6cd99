"""Rotary embedding of queries and keys: neighbouring pairs, multiplied as complex numbers.

Checkpoints pair dimension i with i + head_dim/2, so query and key rows (with their norms and
biases) are reordered once, at load; attention scores do not change under a reordering that both
sides share.
"""

import torch
from torch import Tensor

from dspark_bench.models.config import ModelConfig
from dspark_bench.models.rope import rotations


class Rotary:
    """Rotary position table: complex64 [max_positions, 1, head_dim / 2]."""

    def __init__(self, config: ModelConfig, max_positions: int, device: torch.device) -> None:
        table = rotations(config.rope, config.head_dim, max_positions)
        self._table = table.unsqueeze(1).to(device)

    def at(self, positions: Tensor) -> Tensor:
        """Rotations [T, 1, head_dim / 2] for positions [T]."""
        return self._table[positions]


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate neighbouring pairs of x [T, H, hd] by rotation [T, 1, hd/2]; keeps the dtype."""
    paired = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(paired * rotation).flatten(-2).to(x.dtype)


def pair_neighbours(weight: Tensor, head_dim: int) -> Tensor:
    """Reorder rows [H*hd, ...] (or a norm [hd]) so that rotary pairs become neighbours."""
    split = weight.view(-1, 2, head_dim // 2, *weight.shape[1:])
    return split.transpose(1, 2).flatten(0, 2).contiguous()
