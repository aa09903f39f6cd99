"""Trainable module for multi-token prediction, run as drafting runs it, in speculators' layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dspark_bench.core.features import FINAL_NORM
from dspark_bench.training.draft_modules import LayerModule, NormModule, initialise
from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch, Objective
from dspark_bench.training.drafter_module import DrafterModule
from dspark_bench.training.fed_back import fed_back_chains, true_entries
from dspark_bench.training.target_features import FrozenTarget


@dataclass(frozen=True)
class MtpRecipe:
    """max_gamma: steps that it is trained for."""

    max_gamma: int = 16
    seed: int = 0


class MtpLayer(LayerModule):
    """A decoder layer with what narrows its two inputs to one, and a norm behind it."""

    def __init__(self, target: FrozenTarget) -> None:
        hidden, eps = target.config.hidden_size, target.config.rms_norm_eps
        super().__init__(target.config, hidden)
        self.token_layernorm = NormModule(hidden, eps)
        self.hidden_layernorm = NormModule(hidden, eps)
        self.input_proj = nn.Linear(2 * hidden, hidden, bias=False)
        self.final_layernorm = NormModule(hidden, eps)

    def inputs(self, embedded: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """See `FedBackModule`: the narrowed inputs, and the same normed."""
        parts = [self.token_layernorm(embedded), self.hidden_layernorm(states)]
        narrowed: Tensor = self.input_proj(torch.cat(parts, dim=-1))
        return narrowed, self.input_layernorm(narrowed)

    def outputs(self, residual: Tensor, attended: Tensor) -> Tensor:
        """What the head and the next step read [..., D]."""
        out: Tensor = self.final_layernorm(self.finish(residual, attended))
        return out


class MtpModel(DrafterModule):
    """The module; embedding and head are the target's."""

    def __init__(self, target: FrozenTarget, recipe: MtpRecipe) -> None:
        super().__init__(target, recipe.max_gamma, recipe.seed)
        self.recipe = recipe
        self.mtp_layers = nn.ModuleList([MtpLayer(target)])
        initialise(self)

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """What the target's head reads."""
        return (FINAL_NORM,)

    @property
    def objective(self) -> Objective:
        """DeepSeek-V3's: cross entropy, every step alike."""
        return Objective.TOKENS

    @property
    def repeats_target(self) -> bool:
        """speculators' files keep the target's shape apart."""
        return False

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Teacher-forced logits [N, A, K, U]. The chain of anchor P starts at entry P - 1."""
        target, rope = self._target[0], self._rope
        layer = self.mtp_layers[0]
        assert isinstance(layer, MtpLayer)
        entries = true_entries(layer, batch.features, batch, target, rope)
        chains = fed_back_chains(layer, entries, batch, target, rope)
        return DraftScores(target.draft_logits(chains), None)

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields as speculators writes them."""
        target = self._target[0]
        shape = target.qwen3_shape() | {"tie_word_embeddings": False}
        method = {"proposal_type": "greedy", "speculative_tokens": self.recipe.max_gamma}
        return {
            "architectures": ["MTPDraftModel"],
            "speculators_model_type": "mtp",
            "num_nextn_predict_layers": 1,
            "transformer_layer_config": shape,
            "speculators_config": {
                "algorithm": "mtp",
                "default_proposal_method": "greedy",
                "proposal_methods": [method],
                "verifier": {"name_or_path": None, "architectures": shape["architectures"]},
            },
        }
