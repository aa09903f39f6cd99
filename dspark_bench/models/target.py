"""The target: a Qwen3-family decoder over ragged batches.

Logits agree with transformers' own model in fp32; the tests compare them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import (
    check_all_read,
    content_hash,
    naming,
    read_tensors,
)
from dspark_bench.models.config import ModelConfig, parse_model_config, read_json
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import DecoderLayer, Rotary, Tensors, load_norm, take
from dspark_bench.models.linear import Linear

EMBEDDING_OUTPUT = -1


@dataclass(frozen=True, slots=True)
class TargetOutput:
    """logits [N, V] fp32 at the chosen rows; features [T, m*D] of the chosen layers, or None."""

    logits: Tensor
    features: Tensor | None


class Target(Protocol):
    """What the engine needs of a target."""

    @property
    def config(self) -> ModelConfig:
        """Shape and end-of-sequence tokens."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its tensors live."""
        ...

    def new_cache(self, num_rows: int, max_len: int) -> KVCache:
        """A cache for `num_rows` requests of up to `max_len` positions."""
        ...

    def forward(
        self,
        token_ids: Tensor,
        plan: AttentionPlan,
        cache: KVCache,
        logit_rows: Tensor | None = None,
        feature_layers: tuple[int, ...] = (),
    ) -> TargetOutput:
        """One pass over a ragged batch; see `TargetModel.forward`."""
        ...


class TargetModel:
    """Weights and forward pass. Holds no request state: the cache is an argument."""

    def __init__(
        self, config: ModelConfig, tensors: Tensors, identity: str, device: torch.device
    ) -> None:
        vocab, hidden = config.vocab_size, config.hidden_size
        self.config: ModelConfig = config
        self.identity = identity
        self.device: torch.device = device
        self.embed = take(tensors, "model.embed_tokens.weight", vocab, hidden)
        self.dtype = self.embed.dtype
        self.norm = load_norm(tensors, "model.norm.weight", config)
        self.layers = [
            DecoderLayer.load(tensors, f"model.layers.{i}.", config)
            for i in range(config.num_hidden_layers)
        ]
        tied = config.tie_word_embeddings or "lm_head.weight" not in tensors
        self.head_weight = self.embed if tied else take(tensors, "lm_head.weight", vocab, hidden)
        self.lm_head = Linear(self.head_weight)
        self.rotary = Rotary(config, config.max_position_embeddings, device)

    @classmethod
    def load(cls, directory: Path, dtype: torch.dtype, device: torch.device) -> "TargetModel":
        """Read a model directory. Raises CheckpointError with the reason."""
        source = directory / "config.json"
        if not directory.is_dir():
            raise CheckpointError(f"no checkpoint directory at {directory}")
        config = parse_model_config(read_json(source), str(source))
        tensors = read_tensors(directory, dtype, device)
        with naming(directory):
            model = cls(config, tensors, content_hash(directory), device)
        check_all_read(tensors, directory)
        return model

    @property
    def num_weight_bytes(self) -> int:
        """Bytes that one decode step must read: every weight once."""
        matrices = [self.lm_head]
        for layer in self.layers:
            matrices += [layer.attention.qkv, layer.attention.out]
            matrices += [layer.mlp.gate_up, layer.mlp.down]
        return sum(matrix.num_weight_bytes for matrix in matrices)

    def new_cache(self, num_rows: int, max_len: int) -> KVCache:
        """A cache for `num_rows` requests of up to `max_len` positions."""
        depth = self.config.num_hidden_layers
        return KVCache(self.config, depth, num_rows, max_len, self.dtype, self.device)

    def forward(
        self,
        token_ids: Tensor,
        plan: AttentionPlan,
        cache: KVCache,
        logit_rows: Tensor | None = None,
        feature_layers: tuple[int, ...] = (),
    ) -> TargetOutput:
        """One pass over a ragged batch.

        token_ids [T]; logit_rows [N]: rows whose logits are wanted (None: all T);
        feature_layers: 0-based decoder layers whose outputs are returned, -1 for the embedding.
        Writes the cache at `plan.slots`; lengths are the caller's to commit.
        """
        x = F.embedding(token_ids, self.embed)
        taps = {EMBEDDING_OUTPUT: x} if EMBEDDING_OUTPUT in feature_layers else {}
        rotation = self.rotary.at(plan.positions)
        for index, layer in enumerate(self.layers):
            x = layer.forward(x, rotation, cache, index, plan)
            if index in feature_layers:
                taps[index] = x
        chosen = x if logit_rows is None else x[logit_rows]
        logits = self.lm_head(self.norm(chosen)).float()
        features = torch.cat([taps[i] for i in feature_layers], dim=-1) if feature_layers else None
        return TargetOutput(logits, features)
