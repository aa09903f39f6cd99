"""Trainable Eagle3: one layer with training-time test (EAGLE-3 section 3; DeepSpec's layout)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dspark_bench.training.draft_modules import (
    ConfidenceModule,
    LayerModule,
    NormModule,
    initialise,
)
from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch, Objective
from dspark_bench.training.drafter_module import DrafterModule
from dspark_bench.training.fed_back import fed_back_chains, true_entries
from dspark_bench.training.target_features import FrozenTarget


@dataclass(frozen=True)
class EagleRecipe:
    """Shape of an autoregressive drafter of one layer."""

    target_layer_ids: tuple[int, ...]
    max_gamma: int = 16
    has_confidence: bool = True
    seed: int = 0
    objective: Objective = Objective.ACCEPTANCE


class EagleLayer(LayerModule):
    """A decoder layer that reads [norm(embedding); norm(hidden)]."""

    def __init__(self, target: FrozenTarget) -> None:
        hidden = target.config.hidden_size
        super().__init__(target.config, 2 * hidden)
        self.hidden_norm = NormModule(hidden, target.config.rms_norm_eps)

    def inputs(self, embedded: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """See `FedBackModule`: attention reads both [..., 2D], the state is the residual."""
        normed = [self.input_layernorm(embedded), self.hidden_norm(states)]
        return states, torch.cat(normed, dim=-1)

    def outputs(self, residual: Tensor, attended: Tensor) -> Tensor:
        """See `FedBackModule`: without the final norm."""
        return self.finish(residual, attended)


class EagleModel(DrafterModule):
    """The fusion of target layers, the layer, and the final norm."""

    def __init__(self, target: FrozenTarget, recipe: EagleRecipe) -> None:
        super().__init__(target, recipe.max_gamma, recipe.seed)
        hidden = target.config.hidden_size
        self.recipe = recipe
        self.fc = nn.Linear(len(recipe.target_layer_ids) * hidden, hidden, bias=False)
        self.layers = nn.ModuleList([EagleLayer(target)])
        self.norm = NormModule(hidden, target.config.rms_norm_eps)
        if recipe.has_confidence:
            self.confidence_head = ConfidenceModule(hidden)
        initialise(self)

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """Target layers it reads."""
        return self.recipe.target_layer_ids

    @property
    def objective(self) -> Objective:
        """What its recipe says."""
        return self.recipe.objective

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Teacher-forced logits [N, A, K, U]. The chain of anchor P starts at entry P - 1."""
        target, rope = self._target[0], self._rope
        layer = self.layers[0]
        assert isinstance(layer, EagleLayer)
        entries = true_entries(layer, self.fc(batch.features), batch, target, rope)
        hidden = self.norm(fed_back_chains(layer, entries, batch, target, rope))
        confidence = self.confidence_head(hidden) if self.recipe.has_confidence else None
        return DraftScores(target.draft_logits(hidden), confidence)

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields as DeepSpec writes them."""
        return {
            "architectures": ["Qwen3Eagle3Model"],
            "num_target_layers": self._target[0].config.num_hidden_layers,
            "draft_num_hidden_layers": 1,
            "num_hidden_layers": 1,
            "layer_types": ["full_attention"],
            "ttt_length": self.recipe.max_gamma,
            "step_loss_decay": 0.8,
            "target_layer_ids": list(self.recipe.target_layer_ids),
            "enable_confidence_head": self.recipe.has_confidence,
            "confidence_head_with_markov": False,
        }
