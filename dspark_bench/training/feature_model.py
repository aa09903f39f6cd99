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
from dspark_bench.training.draft_modules import LayerModule, Rope, initialise
from dspark_bench.training.drafter_batch import (
    DraftScores,
    DraftTrainingBatch,
    GuessedStates,
    Objective,
)
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


class FeatureModel(nn.Module):
    """`fc` over [embedding; state], and the layer."""

    def __init__(self, target: FrozenTarget, recipe: FeatureRecipe) -> None:
        super().__init__()
        hidden = target.config.hidden_size
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.fc = nn.Linear(2 * hidden, hidden, bias=True)
        self.layers = nn.ModuleList([FeatureLayer(target)])
        initialise(self)
        self._target = (target,)
        self._rope = Rope(target.config, target.device)

    @property
    def module(self) -> nn.Module:
        """The parameters."""
        return self

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """What the target's head reads."""
        return (FINAL_NORM,)

    @property
    def max_gamma(self) -> int:
        """Longest block that it is looked at with."""
        return self.recipe.max_gamma

    @property
    def objective(self) -> Objective:
        """The states themselves."""
        return Objective.STATES

    @property
    def repeats_target(self) -> bool:
        """Its configuration is a decoder's of the target's shape."""
        return True

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Logits [N, A, K, U] of drafts, and guesses from true states at the same places.

        The chain of anchor P starts at entry P - 1, whose guess is of the state at P.
        """
        target = self._target[0]
        size, num_tokens = batch.tokens.shape
        device = batch.tokens.device
        following = torch.cat([batch.tokens[:, 1:], batch.tokens[:, -1:]], dim=1)
        places = torch.arange(num_tokens, device=device).expand(size, -1)
        causal = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=device).tril()
        x = self._joined(target.embed(following), batch.features)
        keys, values = self._stored(x, places)
        guesses = self._layer(x, places, keys, values, causal)
        with torch.no_grad():
            logits = target.draft_logits(self._chains(batch, guesses, keys, values))
        rows = torch.arange(size, device=device)[:, None, None]
        wanted = batch.anchors.unsqueeze(-1) + torch.arange(batch.gamma, device=device)
        wanted = wanted.clamp(max=num_tokens - 1)
        own = guesses[rows, wanted - 1]
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

    def _chains(
        self, batch: DraftTrainingBatch, guesses: Tensor, keys: Tensor, values: Tensor
    ) -> Tensor:
        """Guesses [N, A, K, D] fed back, teacher-forced in their tokens alone."""
        size, num_tokens = batch.tokens.shape
        device = batch.tokens.device
        starts = batch.anchors - 1
        state = guesses[torch.arange(size, device=device)[:, None], starts]
        visible = (torch.arange(num_tokens, device=device) <= starts.unsqueeze(-1)).unsqueeze(1)
        own = torch.eye(starts.shape[1], dtype=torch.bool, device=device).expand(size, 1, -1, -1)
        found = [state]
        for step in range(1, batch.gamma):
            x = self._joined(self._target[0].embed(batch.labels[..., step - 1]), state)
            new_keys, new_values = self._stored(x, starts + step)
            keys = torch.cat([keys, new_keys], dim=2)
            values = torch.cat([values, new_values], dim=2)
            visible = torch.cat([visible, own], dim=-1)
            state = self._layer(x, starts + step, keys, values, visible)
            found.append(state)
        return torch.stack(found, dim=2)

    def _joined(self, embedded: Tensor, states: Tensor) -> Tensor:
        joined: Tensor = self.fc(torch.cat([embedded, states], dim=-1))
        return joined

    def _stored(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        attention = self._only_layer().self_attn
        return attention.keys(x, positions, self._rope), attention.values(x)

    def _layer(
        self, x: Tensor, positions: Tensor, keys: Tensor, values: Tensor, visible: Tensor
    ) -> Tensor:
        """x [N, T, D] -> guesses [N, T, D]; visible broadcasts to [N, 1, T, L]."""
        layer = self._only_layer()
        query = layer.self_attn.queries(x, positions, self._rope)
        return layer.finish(x, layer.self_attn.attend(query, keys, values, visible))

    def _only_layer(self) -> LayerModule:
        layer = self.layers[0]
        assert isinstance(layer, LayerModule)
        return layer
