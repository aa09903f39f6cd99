"""Trainable module for multi-token prediction, run as drafting runs it, in speculators' layout.

Step 0 runs over the whole sequence with the target's true states. Each further step runs the
blocks' chains only, on the module's own last output; its keys are the true ones up to the chain's
start, followed by the chain's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dspark_bench.core.features import FINAL_NORM
from dspark_bench.training.draft_modules import LayerModule, NormModule, Rope, initialise
from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch, Objective
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

    def inputs(self, embedded: Tensor, states: Tensor) -> Tensor:
        """[..., D] and [..., D] -> [..., D]."""
        parts = [self.token_layernorm(embedded), self.hidden_layernorm(states)]
        out: Tensor = self.input_proj(torch.cat(parts, dim=-1))
        return out

    def outputs(self, inputs: Tensor, attended: Tensor) -> Tensor:
        """What the head and the next step read [..., D]."""
        out: Tensor = self.final_layernorm(self.finish(inputs, attended))
        return out


class MtpModel(nn.Module):
    """The module; embedding and head are the target's."""

    def __init__(self, target: FrozenTarget, recipe: MtpRecipe) -> None:
        super().__init__()
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.mtp_layers = nn.ModuleList([MtpLayer(target)])
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
        """Steps that it is trained for."""
        return self.recipe.max_gamma

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
        target = self._target[0]
        size, num_tokens = batch.tokens.shape
        device = batch.tokens.device
        layer = self.mtp_layers[0]
        assert isinstance(layer, MtpLayer)
        attention = layer.self_attn
        following = torch.cat([batch.tokens[:, 1:], batch.tokens[:, -1:]], dim=1)
        places = torch.arange(num_tokens, device=device).expand(size, -1)
        causal = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=device).tril()
        inputs = layer.inputs(target.embed(following), batch.features)
        normed = layer.input_layernorm(inputs)
        keys = attention.keys(normed, places, self._rope)
        values = attention.values(normed)
        query = attention.queries(normed, places, self._rope)
        state = layer.outputs(inputs, attention.attend(query, keys, values, causal))
        starts = batch.anchors - 1
        chain = state[torch.arange(size, device=device)[:, None], starts]
        visible = (torch.arange(num_tokens, device=device) <= starts.unsqueeze(-1)).unsqueeze(1)
        found = [chain]
        for step in range(1, batch.gamma):
            inputs = layer.inputs(target.embed(batch.labels[..., step - 1]), chain)
            normed = layer.input_layernorm(inputs)
            positions = starts + step
            keys = torch.cat([keys, attention.keys(normed, positions, self._rope)], dim=2)
            values = torch.cat([values, attention.values(normed)], dim=2)
            own = torch.eye(starts.shape[1], dtype=torch.bool, device=device)
            visible = torch.cat([visible, own.expand(size, 1, -1, -1)], dim=-1)
            query = attention.queries(normed, positions, self._rope)
            chain = layer.outputs(inputs, attention.attend(query, keys, values, visible))
            found.append(chain)
        return DraftScores(target.draft_logits(torch.stack(found, dim=2)), None)

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
