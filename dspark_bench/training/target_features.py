"""The frozen target as the drafters' teacher: hidden states to read, distributions to match."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear
from transformers import AutoModelForCausalLM

from dspark_bench.models.config import ModelConfig, read_model_config
from dspark_bench.models.config_values import read_json

EMBEDDING_OUTPUT = -1


@dataclass(frozen=True)
class TeacherOutput:
    """features [N, S, m*D]: chosen layers, concatenated; last [N, S, D]: normed final hidden."""

    features: Tensor
    last: Tensor


class FrozenTarget:
    """A target that is only read. Its embedding and head serve the drafters too."""

    def __init__(self, directory: Path, device: torch.device) -> None:
        self.config: ModelConfig = read_model_config(directory)
        self.raw_config = read_json(directory / "config.json")
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="sdpa"
        )
        model.to(device)  # type: ignore[arg-type]
        self._model = model.eval().requires_grad_(False)
        self.device = device
        self.embed_weight: Tensor = self._model.get_input_embeddings().weight
        self.head_weight: Tensor = self._model.get_output_embeddings().weight

    @torch.no_grad()
    def read(self, tokens: Tensor, layers: tuple[int, ...]) -> TeacherOutput:
        """Hidden states for tokens [N, S]; layer i is the output of 0-based decoder layer i."""
        output = self._model.model(input_ids=tokens, use_cache=False, output_hidden_states=True)
        states = output.hidden_states
        features = torch.cat([states[layer + 1] for layer in layers], dim=-1)
        return TeacherOutput(features, output.last_hidden_state)

    def embed(self, tokens: Tensor) -> Tensor:
        """Token embeddings [..., D]."""
        return embedding(tokens, self.embed_weight)

    def logits(self, hidden: Tensor) -> Tensor:
        """Head over hidden [..., D] -> [..., V]."""
        return linear(hidden, self.head_weight)
