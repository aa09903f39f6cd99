"""Trainable draft model: a small Qwen3 decoder between its target's embedding and head.

It reads tokens alone, each once; a slot's distribution is that behind the token before it, whatever
block the slot is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dspark_bench.training.draft_modules import LayerModule, NormModule, initialise
from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch, Objective
from dspark_bench.training.drafter_module import DrafterModule
from dspark_bench.training.target_features import FrozenTarget


@dataclass(frozen=True)
class DecoderRecipe:
    """Shape of a draft model, as wide as its target. max_gamma: longest block to be scored."""

    num_layers: int = 2
    max_gamma: int = 16
    seed: int = 0


class _Body(nn.Module):
    """Layers and final norm, under the names of a Hugging Face decoder."""

    def __init__(self, target: FrozenTarget, num_layers: int) -> None:
        super().__init__()
        config = target.config
        width = config.hidden_size
        self.layers = nn.ModuleList(LayerModule(config, width) for _ in range(num_layers))
        self.norm = NormModule(width, config.rms_norm_eps)


class DecoderModel(DrafterModule):
    """The decoder. Embedding and head are the target's, frozen, and not in its checkpoint."""

    def __init__(self, target: FrozenTarget, recipe: DecoderRecipe) -> None:
        """Raises ValueError for a target whose drafters draft a part of the vocabulary: a plain
        decoder's folder has no place for the tables that say which.
        """
        if target.token_ids is not None:
            raise ValueError("a draft model drafts the whole vocabulary")
        super().__init__(target, recipe.max_gamma, recipe.seed)
        self.recipe = recipe
        self.model = _Body(target, recipe.num_layers)
        initialise(self)

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """It reads no layer of the target."""
        return ()

    @property
    def objective(self) -> Objective:
        """That of the drafters beside it."""
        return Objective.ACCEPTANCE

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Teacher-forced logits [N, A, K, U]: of each slot, behind the token before it."""
        size, num_tokens = batch.tokens.shape
        device = batch.tokens.device
        places = torch.arange(num_tokens, device=device).expand(size, -1)
        causal = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=device).tril()
        x = self._target[0].embed(batch.tokens)
        for layer in self.model.layers:
            assert isinstance(layer, LayerModule)
            attention = layer.self_attn
            normed = layer.input_layernorm(x)
            query = attention.queries(normed, places, self._rope)
            keys = attention.keys(normed, places, self._rope)
            x = layer.finish(x, attention.attend(query, keys, attention.values(normed), causal))
        slots = batch.anchors.unsqueeze(-1) + torch.arange(batch.gamma, device=device)
        rows = torch.arange(size, device=device)[:, None, None]
        hidden = self.model.norm(x[rows, slots.clamp(max=num_tokens - 1)])
        return DraftScores(self._target[0].draft_logits(hidden), None)

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields of a plain Qwen3 decoder; embedding and head are tied where the target's are."""
        depth = self.recipe.num_layers
        return {
            "architectures": ["Qwen3ForCausalLM"],
            "num_hidden_layers": depth,
            "layer_types": ["full_attention"] * depth,
            "tie_word_embeddings": self._target[0].config.tie_word_embeddings,
        }
