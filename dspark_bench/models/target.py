"""The target: a decoder of one of the `families`, over ragged batches.

Logits agree with transformers' own model in fp32; the tests compare them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.features import EMBEDDING_OUTPUT, FINAL_NORM
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import (
    check_all_read,
    check_folder,
    content_hash,
    naming,
    read_tensors,
)
from dspark_bench.models.config import ModelConfig, TargetShape, read_model_config
from dspark_bench.models.kernels.choice import KernelChoice, Wanted, choose_kernels
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kv_cache import KVCache, check_length
from dspark_bench.models.layers import load_norm
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import Tensors, take
from dspark_bench.models.rotary import Rotary
from dspark_bench.models.stack import DecoderStack

_HEAD = "lm_head.weight"
_CONTRADICTED_TIE = (
    "the target's config.json says tie_word_embeddings=true, but its files hold an lm_head.weight "
    "that differs from the embedding; the files' head is used, as transformers 5 does"
)


@dataclass(frozen=True, slots=True)
class TargetOutput:
    """logits [N, V] fp32 at the chosen rows; features [T, m*D] of the chosen layers, or None."""

    logits: Tensor
    features: Tensor | None


class Target(Protocol):
    """What the engine needs of a target."""

    @property
    def config(self) -> TargetShape:
        """Shape and end-of-sequence tokens."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its tensors live."""
        ...

    @property
    def is_batch_invariant(self) -> bool:
        """Whether a token's logits have the same bits whatever else is in the pass."""
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


class LoadedTarget(Target, Protocol):
    """What a run and its drafters need besides. Read-only.

    embed, head_weight [V, D]: drafters share them; lm_head: the latter, applied; identity: a hash
    of the files; kernel_choice: what it runs on, and why; notes: what a reader of its figures must
    know.
    """

    embed: Tensor
    head_weight: Tensor
    lm_head: Linear
    identity: str
    dtype: torch.dtype
    kernel_choice: KernelChoice
    notes: tuple[str, ...]

    @property
    def num_weight_bytes(self) -> int:
        """Bytes that one decode step must read."""
        ...

    def kernels_for(self, config: ModelConfig) -> Kernels | None:
        """What a drafter of this shape runs on beside it: None for torch's operations."""
        ...


class TargetModel:
    """Weights and forward pass. Holds no request state: the cache is an argument.

    kernel_choice: what it runs on, and why; drafters beside it follow.
    notes: what a reader of its figures must know about the checkpoint.
    """

    def __init__(
        self,
        config: ModelConfig,
        tensors: Tensors,
        identity: str,
        device: torch.device,
        wanted: Wanted = Wanted.AUTO,
    ) -> None:
        vocab, hidden = config.vocab_size, config.hidden_size
        self.config: TargetShape = config
        self.identity = identity
        self.device: torch.device = device
        self.embed = take(tensors, "model.embed_tokens.weight", vocab, hidden)
        self.dtype = self.embed.dtype
        self.kernel_choice: KernelChoice = choose_kernels(
            wanted, self.dtype, device, config.head_dim
        )
        kernels = self.kernel_choice.kernels
        self.norm = load_norm(tensors, "model.norm.weight", config, kernels)
        self.layers = DecoderStack.load(tensors, "model.layers.", config, kernels)
        self.head_weight = _head_weight(tensors, config, self.embed)
        is_contradicted = config.tie_word_embeddings and self.head_weight is not self.embed
        self.notes: tuple[str, ...] = (_CONTRADICTED_TIE,) if is_contradicted else ()
        self.lm_head = Linear(self.head_weight, None, kernels)
        self.rotary = Rotary(config, config.max_position_embeddings, device)

    @classmethod
    def load(
        cls,
        directory: Path,
        dtype: torch.dtype,
        device: torch.device,
        wanted: Wanted = Wanted.AUTO,
    ) -> "TargetModel":
        """Read a model directory. Raises CheckpointError with the reason."""
        check_folder(directory)
        config = read_model_config(directory)
        tensors = read_tensors(directory, dtype, device)
        with naming(directory):
            model = cls(config, tensors, content_hash(directory), device, wanted)
        check_all_read(tensors, directory)
        return model

    @property
    def num_weight_bytes(self) -> int:
        """Bytes that one decode step must read: every weight once."""
        return self.lm_head.num_weight_bytes + self.layers.num_weight_bytes

    @property
    def is_batch_invariant(self) -> bool:
        """Whether a token's logits have the same bits whatever else is in the pass."""
        return self.kernel_choice.kernels is not None

    def kernels_for(self, config: ModelConfig) -> Kernels | None:
        """What a drafter of this shape runs on beside this target: None for torch's operations."""
        wanted = Wanted.AUTO if self.kernel_choice.kernels is not None else Wanted.TORCH
        return choose_kernels(wanted, self.dtype, self.device, config.head_dim).kernels

    def new_cache(self, num_rows: int, max_len: int) -> KVCache:
        """A cache for `num_rows` requests of up to `max_len` positions.

        Raises UsageError for more positions than the target has.
        """
        check_length(max_len, self.config)
        depth = self.config.num_hidden_layers
        is_compiled = self.kernel_choice.kernels is not None
        return KVCache(self.config, depth, num_rows, max_len, self.dtype, self.device, is_compiled)

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
        feature_layers: 0-based decoder layers whose outputs are returned, or names of
        `core.features`.
        Writes the cache at `plan.slots`; lengths are the caller's to commit.
        """
        x = F.embedding(token_ids, self.embed)
        outputs = {EMBEDDING_OUTPUT: x}
        rotation = self.rotary.at(plan.positions)
        wanted = [layer for layer in feature_layers if layer >= 0]
        x, taps = self.layers.forward(x, rotation, cache, plan, wanted)
        outputs |= taps
        if FINAL_NORM in feature_layers:
            outputs[FINAL_NORM] = normed = self.norm(x)
            chosen = normed if logit_rows is None else normed[logit_rows]
        else:
            chosen = self.norm(x if logit_rows is None else x[logit_rows])
        logits = self.lm_head(chosen).float()
        features = (
            torch.cat([outputs[i] for i in feature_layers], dim=-1) if feature_layers else None
        )
        return TargetOutput(logits, features)


def _head_weight(tensors: Tensors, config: ModelConfig, embed: Tensor) -> Tensor:
    """The output head [V, D]: the embedding itself, or the one that the files hold.

    What the files hold counts, whatever the configuration says (transformers 5 decides so too); an
    untied head that is missing is a truncated checkpoint. Raises CheckpointError.
    """
    if config.tie_word_embeddings and _HEAD not in tensors:
        return embed
    head = take(tensors, _HEAD, config.vocab_size, config.hidden_size)
    return embed if config.tie_word_embeddings and torch.equal(head, embed) else head
