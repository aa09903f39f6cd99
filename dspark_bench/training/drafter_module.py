"""What trainable drafters have in common that stand under their target's embedding and head."""

from __future__ import annotations

import torch
from torch import nn

from dspark_bench.training.draft_modules import Rope
from dspark_bench.training.target_features import FrozenTarget


class DrafterModule(nn.Module):
    """A drafter that is its own module; embedding and head are the target's, frozen, and not in its
    checkpoint. See `drafter_batch.TrainableDrafter`.

    A subclass makes its parameters behind this constructor, which seeds them, and then calls
    `initialise`.
    """

    def __init__(self, target: FrozenTarget, max_gamma: int, seed: int) -> None:
        """max_gamma: longest block it is trained for. Seeds torch's generator."""
        super().__init__()
        torch.manual_seed(seed)
        self._target = (target,)  # in a tuple, so that it is no part of the module
        self._rope = Rope(target.config, target.device)
        self._max_gamma = max_gamma

    @property
    def module(self) -> nn.Module:
        """The parameters."""
        return self

    @property
    def max_gamma(self) -> int:
        """Longest block it is trained for."""
        return self._max_gamma

    @property
    def repeats_target(self) -> bool:
        """Its configuration is a decoder's of the target's shape, in most formats."""
        return True
