"""The parallel drafting backbone of DFlash, DSpark and JetSpec, for inference.

One pass over [anchor, mask, mask, ...] gives a hidden state for every draft slot. Every layer
attends to the target's own hidden states, injected as extra keys and values that are computed once
per committed token and kept, and to the whole block in both directions; in JetSpec's to the anchor
and to the slots before its own.
"""

from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.types import ContextUpdate, DraftBatch
from dspark_bench.models.attention import Span, Visibility, plan_attention
from dspark_bench.models.checkpoint import (
    StoredTensors,
    naming,
    read_tensors,
)
from dspark_bench.models.draft_config import (
    DraftConfig,
    Layout,
    check_fits_target,
    target_layers,
)
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import RmsNorm, load_norm
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import Tensors, take
from dspark_bench.models.rotary import Rotary, pair_neighbours, rotate
from dspark_bench.models.stack import DecoderStack
from dspark_bench.models.target import LoadedTarget
from dspark_bench.models.vocabulary import read_vocabulary


class ContextProjector:
    """Writes keys and values of committed tokens for all draft layers, from target features.

    H = hidden_norm(fc(features)); per layer K = rope(k_norm(k_proj H)), V = v_proj H. H does not
    pass the layers' input norms.
    """

    def __init__(self, config: DraftConfig, tensors: Tensors, kernels: Kernels | None) -> None:
        model = config.model
        hidden, hd, kv = model.hidden_size, model.head_dim, model.num_key_value_heads
        width = config.num_taps * config.target_hidden_size
        self._shape = (model.num_hidden_layers, kv, hd)
        self._kernels = kernels
        self.fuse = Linear(take(tensors, "fc.weight", hidden, width), None, kernels)
        self.norm = load_norm(tensors, "hidden_norm.weight", model, kernels)
        prefixes = [f"layers.{i}.self_attn." for i in range(model.num_hidden_layers)]
        keys = [
            pair_neighbours(take(tensors, f"{p}k_proj.weight", kv * hd, hidden), hd)
            for p in prefixes
        ]
        values = [take(tensors, f"{p}v_proj.weight", kv * hd, hidden) for p in prefixes]
        norms = [pair_neighbours(take(tensors, f"{p}k_norm.weight", hd), hd) for p in prefixes]
        self.project = Linear(torch.cat(keys + values), None, kernels)
        stacked = torch.stack([n.expand(kv, hd) for n in norms]).flatten(0, 1)
        self.key_norm = RmsNorm(stacked.contiguous(), model.rms_norm_eps, None)

    def write(self, features: Tensor, rotation: Tensor, slots: Tensor, cache: KVCache) -> None:
        """features [T, m*D], rotation [T, 1, hd/2]. Mutates the cache at `slots` [T]."""
        fused = self.project(self.norm(self.fuse(features)))
        if self._kernels is None or cache.arrays is None:
            cache.write_all(slots, *self._split(fused, rotation))
            return
        norm = self.key_norm
        scene = (rotation.numpy(), slots.numpy(), *cache.arrays)
        norms, eps = norm.weight.numpy(), np.float32(norm.eps)
        self._kernels.store_context(fused.numpy(), norms, eps, *scene)

    def _split(self, fused: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """fused [T, 2 * layers * Hkv * hd] -> keys, values [layers, T, Hkv, hd]."""
        depth, kv, hd = self._shape
        keys, values = fused.view(-1, 2, depth * kv, hd).unbind(1)
        keys = rotate(self.key_norm(keys), rotation)
        shape = (-1, depth, kv, hd)
        return keys.reshape(shape).transpose(0, 1), values.reshape(shape).transpose(0, 1)


class BlockBackbone:
    """Hidden states for all draft slots of B requests in one pass."""

    def __init__(
        self,
        config: DraftConfig,
        tensors: Tensors,
        target: LoadedTarget,
        feature_layers: tuple[int, ...],
    ) -> None:
        """feature_layers: of the target, whose outputs it reads."""
        model = config.model
        self.config = config
        self.feature_layers = feature_layers
        self.device, self.dtype = target.device, target.dtype
        self.kernels = target.kernels_for(model)
        self.context = ContextProjector(config, tensors, self.kernels)
        self.layers = DecoderStack.load(tensors, "layers.", model, self.kernels)
        self.norm = load_norm(tensors, "norm.weight", model, self.kernels)
        self.vocabulary = read_vocabulary(tensors, config, target)
        self.notes = (*self.vocabulary.notes, *config.notes)
        self.rotary = Rotary(model, target.config.max_position_embeddings, self.device)
        self.cache: KVCache | None = None

    @classmethod
    def load(
        cls, directory: Path, target: LoadedTarget, layout: Layout
    ) -> tuple["BlockBackbone", StoredTensors]:
        """Read a checkpoint of a block drafter; the tensors are given back for the heads.

        The caller reads those and then calls `check_all_read`.
        """
        config = read_draft_config(directory, layout)
        check_fits_target(config, target.config, directory)
        tensors = read_tensors(directory, target.dtype, target.device)
        with naming(directory):
            layers = target_layers(config, target.config, directory)
            backbone = cls(config, tensors, target, layers)
        return backbone, tensors

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache."""
        model = self.config.model
        depth = model.num_hidden_layers
        is_compiled = self.kernels is not None
        self.cache = KVCache(model, depth, num_rows, max_len, self.dtype, self.device, is_compiled)

    def extend(self, update: ContextUpdate) -> None:
        """Inject newly committed tokens. Mutates the cache at `update.rows`."""
        cache = self._ready_cache()
        positions: list[int] = []
        slots: list[int] = []
        for row, start, count in zip(update.rows, update.starts, update.counts, strict=True):
            positions.extend(range(start, start + count))
            base = row * cache.max_len + start
            slots.extend(range(base, base + count))
            cache.set_length(row, start + count)
        table = torch.tensor([positions, slots], device=self.device)
        self.context.write(update.features, self.rotary.at(table[0]), table[1], cache)

    def forward(self, batch: DraftBatch) -> Tensor:
        """Hidden states [T, D] after the final norm: each request's draft_len slots in order.

        Where slots predict in place, the anchor's own comes before them and is left out. The
        committed context is unchanged.
        """
        cache = self._ready_cache()
        before = int(self.config.predicts_in_place)
        lens = [length + before for length in batch.draft_lens]
        spans = [
            Span(row, context, length)
            for row, context, length in zip(batch.rows, batch.context_lens, lens, strict=True)
        ]
        visibility = Visibility.CAUSAL if self.config.is_causal else Visibility.BLOCK
        plan = plan_attention(spans, cache, visibility)
        tokens = batch.anchors.new_full((plan.num_tokens,), self.config.mask_token_id)
        starts = list(accumulate(lens[:-1], initial=0))
        tokens[starts] = batch.anchors
        x = F.embedding(tokens, self.vocabulary.embed)
        x, _ = self.layers.forward(x, self.rotary.at(plan.positions), cache, plan)
        if before:
            is_slot = torch.ones(plan.num_tokens, dtype=torch.bool, device=self.device)
            is_slot[starts] = False
            x = x[is_slot]
        return self.norm(x)

    def _ready_cache(self) -> KVCache:
        if self.cache is None:
            raise RuntimeError("allocate() comes before extend() and propose()")
        return self.cache
