"""Trainable EAGLE-1: one layer that guesses the target's next state (EAGLE section 4.2).

It learns with true states only, at every place of a block alike: its loss is the distance to the
state that came, and a tenth of the cross entropy of the distribution that the target makes of it.
What is reported beside it is drafted as drafts are made, with its own guesses fed back. The
authors' noise on the states it reads is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dspark_bench.core.features import FINAL_NORM
from dspark_bench.training.draft_modules import AttentionModule, LayerModule, initialise
from dspark_bench.training.drafter_batch import (
    DraftScores,
    DraftTrainingBatch,
    GuessedStates,
    Objective,
)
from dspark_bench.training.drafter_module import DrafterModule
from dspark_bench.training.fed_back import fed_back_chains, true_entries
from dspark_bench.training.target_features import FrozenTarget


@dataclass(frozen=True)
class FeatureRecipe:
    """Longest blocks that it is looked at with, and the seed of its first weights."""

    max_gamma: int = 16
    seed: int = 0


class FeatureLayer(LayerModule):
    """A Llama layer without a norm before its attention: no norms of heads either."""

    def __init__(self, target: FrozenTarget) -> None:
        super().__init__(target.config, target.config.hidden_size, has_head_norms=False)
        del self.input_layernorm


class FeatureModel(DrafterModule):
    """`fc` over [embedding; state], and the layer."""

    def __init__(self, target: FrozenTarget, recipe: FeatureRecipe) -> None:
        super().__init__(target, recipe.max_gamma, recipe.seed)
        hidden = target.config.hidden_size
        self.recipe = recipe
        self.fc = nn.Linear(2 * hidden, hidden, bias=True)
        self.layers = nn.ModuleList([FeatureLayer(target)])
        initialise(self)

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """What the target's head reads."""
        return (FINAL_NORM,)

    @property
    def objective(self) -> Objective:
        """The states themselves."""
        return Objective.STATES

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Logits [N, A, K, U] of drafts, and guesses from true states at the same places.

        The chain of anchor P starts at entry P - 1, whose guess is of the state at P.
        """
        target, rope = self._target[0], self._rope
        size, num_tokens = batch.tokens.shape
        device = batch.tokens.device
        entries = true_entries(self, batch.features, batch, target, rope)
        with torch.no_grad():
            chains = fed_back_chains(self, entries, batch, target, rope)
            logits = target.draft_logits(chains)
        rows = torch.arange(size, device=device)[:, None, None]
        wanted = batch.anchors.unsqueeze(-1) + torch.arange(batch.gamma, device=device)
        wanted = wanted.clamp(max=num_tokens - 1)
        own = entries.states[rows, wanted - 1]
        taught = GuessedStates(own, batch.features[rows, wanted], target.draft_logits(own))
        return DraftScores(logits, None, taught)

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields as SafeAILab and vLLM write them."""
        return {
            "architectures": ["EagleLlamaForCausalLM"],
            "model_type": "llama",
            "num_hidden_layers": 1,
            "layer_types": ["full_attention"],
            "bias": True,
            "eagle_fc_bias": True,
        }

    @property
    def self_attn(self) -> AttentionModule:
        """The layer's attention."""
        return self._layer().self_attn

    def inputs(self, embedded: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """See `FedBackModule`: `fc` of both is residual and input at once."""
        joined: Tensor = self.fc(torch.cat([embedded, states], dim=-1))
        return joined, joined

    def outputs(self, residual: Tensor, attended: Tensor) -> Tensor:
        """Guesses of the target's next states [..., D]."""
        return self._layer().finish(residual, attended)

    def _layer(self) -> LayerModule:
        layer = self.layers[0]
        assert isinstance(layer, LayerModule)
        return layer
