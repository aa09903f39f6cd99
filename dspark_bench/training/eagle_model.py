"""Trainable Eagle3: one layer with training-time test (EAGLE-3 section 3; DeepSpec's layout).

Step 0 runs over the whole sequence with true features. Each further step runs the blocks' chains
only: its input is the layer's own last output, its keys are the true ones up to the chain's start
followed by the chain's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dspark_bench.training.draft_modules import (
    ConfidenceModule,
    LayerModule,
    NormModule,
    Rope,
    initialise,
)
from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch, Objective
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

    def inputs(self, embedded: Tensor, hidden: Tensor) -> Tensor:
        """[..., D] and [..., D] -> [..., 2D]."""
        return torch.cat([self.input_layernorm(embedded), self.hidden_norm(hidden)], dim=-1)


class EagleModel(nn.Module):
    """The fusion of target layers, the layer, and the final norm."""

    def __init__(self, target: FrozenTarget, recipe: EagleRecipe) -> None:
        super().__init__()
        hidden = target.config.hidden_size
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.fc = nn.Linear(len(recipe.target_layer_ids) * hidden, hidden, bias=False)
        self.layers = nn.ModuleList([EagleLayer(target)])
        self.norm = NormModule(hidden, target.config.rms_norm_eps)
        if recipe.has_confidence:
            self.confidence_head = ConfidenceModule(hidden)
        initialise(self)
        self._target = (target,)
        self._rope = Rope(target.config, target.device)

    @property
    def module(self) -> nn.Module:
        """The parameters."""
        return self

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """Target layers it reads."""
        return self.recipe.target_layer_ids

    @property
    def max_gamma(self) -> int:
        """Training-time-test horizon."""
        return self.recipe.max_gamma

    @property
    def objective(self) -> Objective:
        """What its recipe says."""
        return self.recipe.objective

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Teacher-forced logits [N, A, K, U]. The chain of anchor P starts at entry P - 1."""
        target = self._target[0]
        size, num_tokens = batch.tokens.shape
        device = batch.tokens.device
        following = torch.cat([batch.tokens[:, 1:], batch.tokens[:, -1:]], dim=1)
        places = torch.arange(num_tokens, device=device).expand(size, -1)
        causal = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=device).tril()
        layer = self.layers[0]
        assert isinstance(layer, EagleLayer)
        attention = layer.self_attn
        fused = self.fc(batch.features)
        inputs = layer.inputs(target.embed(following), fused)
        keys = attention.keys(inputs, places, self._rope)
        values = attention.values(inputs)
        query = attention.queries(inputs, places, self._rope)
        state = layer.finish(fused, attention.attend(query, keys, values, causal))
        rows = torch.arange(size, device=device)[:, None]
        starts = batch.anchors - 1
        chain = state[rows, starts]
        visible = (torch.arange(num_tokens, device=device) <= starts.unsqueeze(-1)).unsqueeze(1)
        outputs = [chain]
        for step in range(1, batch.gamma):
            embedded = target.embed(batch.labels[..., step - 1])
            inputs = layer.inputs(embedded, chain)
            positions = starts + step
            keys = torch.cat([keys, attention.keys(inputs, positions, self._rope)], dim=2)
            values = torch.cat([values, attention.values(inputs)], dim=2)
            own = torch.eye(starts.shape[1], dtype=torch.bool, device=device)
            visible = torch.cat([visible, own.expand(size, 1, -1, -1)], dim=-1)
            query = attention.queries(inputs, positions, self._rope)
            chain = layer.finish(chain, attention.attend(query, keys, values, visible))
            outputs.append(chain)
        hidden = self.norm(torch.stack(outputs, dim=2))
        confidence = self.confidence_head(hidden) if self.recipe.has_confidence else None
        return DraftScores(target.draft_logits(hidden), confidence)

    @property
    def repeats_target(self) -> bool:
        """DeepSpec's files do."""
        return True

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
