"""The frozen target as the drafters' teacher: hidden states to read, distributions to match."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear
from transformers import AutoModelForCausalLM

from dspark_bench.core.features import EMBEDDING_OUTPUT, FINAL_NORM
from dspark_bench.models.config import ModelConfig, read_model_config
from dspark_bench.models.config_values import read_json

_ROWS = 512
"""Positions whose distributions over the whole vocabulary are made at once."""


@dataclass(frozen=True)
class TeacherProbs:
    """The target's distribution at temperature 1, as far as drafters can follow it.

    probs [..., U]: of the tokens that can be drafted; missed [...]: the mass of all others.
    """

    probs: Tensor
    missed: Tensor


@dataclass(frozen=True)
class TeacherOutput:
    """features [N, S, m*D]: chosen layers, concatenated; last [N, S, D]: normed final hidden."""

    features: Tensor
    last: Tensor


class FrozenTarget:
    """A target that is only read. Its embedding and head serve the drafters too.

    token_ids [U], ascending: the tokens that its drafters can draft; None: all V.
    """

    token_ids: Tensor | None = None

    def __init__(
        self, directory: Path, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self.config: ModelConfig = read_model_config(directory)
        self.raw_config = read_json(directory / "config.json")
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=dtype, attn_implementation="sdpa"
        )
        model.to(device)  # type: ignore[arg-type]
        self._model = model.eval().requires_grad_(False)
        self.device = device
        self.embed_weight: Tensor = self._model.get_input_embeddings().weight
        self.head_weight: Tensor = self._model.get_output_embeddings().weight
        self._places: Tensor | None = None
        self._draft_head = self.head_weight.float()
        self._embedding = self.embed_weight.float()

    def drafting(self, token_ids: Tensor) -> FrozenTarget:
        """The same target for drafters that draft the tokens token_ids [U] alone, ascending."""
        made = copy(self)
        made.token_ids = token_ids = token_ids.to(self.device)
        made._places = token_ids.new_full((self.config.vocab_size,), -1)
        made._places[token_ids] = torch.arange(len(token_ids), device=self.device)
        made._draft_head = self.head_weight[token_ids].float()
        return made

    @torch.no_grad()
    def read(self, tokens: Tensor, layers: tuple[int, ...]) -> TeacherOutput:
        """Hidden states for tokens [N, S]; layers: see `models.target.TargetModel.forward`."""
        before_norm: list[Tensor] = []
        hook = self._model.model.norm.register_forward_pre_hook(
            lambda module, args: before_norm.append(args[0])
        )
        with hook:
            output = self._model.model(input_ids=tokens, use_cache=False, output_hidden_states=True)
        inner = output.hidden_states[:-1]  # the last of these is not the last layer's, but normed
        states = dict(enumerate((*inner[1:], before_norm[0])))
        states |= {EMBEDDING_OUTPUT: inner[0], FINAL_NORM: output.last_hidden_state}
        features = torch.cat([states[layer] for layer in layers or (EMBEDDING_OUTPUT,)], dim=-1)
        return TeacherOutput(features.float(), output.last_hidden_state)

    def qwen3_shape(self) -> dict[str, Any]:
        """The target's configuration as that of a Qwen3 decoder, which drafters are that are
        trained here: without biases or windows, and with nothing left to another family's defaults.
        """
        shape = self.config
        return {
            **self.raw_config,
            "model_type": "qwen3",
            "head_dim": shape.head_dim,
            "num_key_value_heads": shape.num_key_value_heads,
            "max_position_embeddings": shape.max_position_embeddings,
            "attention_bias": False,
            "use_sliding_window": False,
        }

    def embed(self, tokens: Tensor) -> Tensor:
        """Token embeddings [..., D]."""
        return embedding(tokens, self._embedding)

    @property
    def draft_vocab_size(self) -> int:
        """U."""
        return int(self._draft_head.shape[0])

    def draft_logits(self, hidden: Tensor) -> Tensor:
        """The drafters' head over hidden [..., D] -> [..., U]."""
        return linear(hidden, self._draft_head)

    def draft_labels(self, tokens: Tensor) -> Tensor:
        """Draft token of each target token; -1 where it cannot be drafted."""
        return tokens if self._places is None else self._places[tokens]

    @torch.no_grad()
    def probs(self, last: Tensor) -> TeacherProbs:
        """The target's distribution after each normed final hidden state [..., D]."""
        if self.token_ids is None:
            probs = torch.softmax(linear(last, self.head_weight).float(), dim=-1)
            return TeacherProbs(probs, probs.new_zeros(probs.shape[:-1]))
        parts = []
        for rows in last.flatten(0, -2).split(_ROWS):
            logits = linear(rows, self.head_weight).float()
            scale = logits.logsumexp(-1, keepdim=True)
            parts.append(torch.exp(logits[:, self.token_ids] - scale))
        probs = torch.cat(parts).view(*last.shape[:-1], -1)
        return TeacherProbs(probs, (1 - probs.sum(-1)).clamp(min=0))
