"""`ar`: Eagle3-style autoregressive drafting. One layer, run once per draft token.

The layer reads [norm(embedding of token i+1); norm(hidden i)]. For committed tokens the hidden is
fused from the target's layers; while drafting it is the layer's own last output, fed back. Strong
memory of its own prefix, but the cost grows with every slot.
"""

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.slot_sampling import draw
from dspark_bench.models.attention import AttentionPlan, Span, plan_attention
from dspark_bench.models.checkpoint import check_all_read, read_tensors
from dspark_bench.models.confidence_head import load_confidence
from dspark_bench.models.draft_config import (
    EAGLE3,
    check_fits_target,
    eagle_prefix,
    target_layers,
)
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import DecoderLayer, RmsNorm, load_norm, take
from dspark_bench.models.linear import Linear
from dspark_bench.models.rotary import Rotary
from dspark_bench.models.target import LoadedTarget
from dspark_bench.models.vocabulary import read_vocabulary
from dspark_bench.training.eagle_model import EagleModel, EagleRecipe
from dspark_bench.training.target_features import FrozenTarget


class AutoregressiveDrafter:
    """Reads an Eagle3 checkpoint, of any format that has them."""

    READS: Final = EAGLE3
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        directory = Path(path)
        config = read_draft_config(directory, EAGLE3)
        check_fits_target(config, target.config, directory)
        tensors = read_tensors(directory, target.dtype, target.device)
        model = config.model
        hidden, width = model.hidden_size, config.num_taps * config.target_hidden_size
        self._config = config
        self._device, self._dtype = target.device, target.dtype
        self._kernels = kernels = target.kernels_for(model)
        self._input_norm: RmsNorm | None = None
        if config.norms_features:
            weight = take(tensors, "input_norm.weight", width)
            self._input_norm = RmsNorm(weight, model.rms_norm_eps, kernels)
        self._fuse = Linear(take(tensors, "fc.weight", hidden, width), None, kernels)
        prefix = eagle_prefix(config, tensors)
        self._hidden_norm = load_norm(tensors, f"{prefix}hidden_norm.weight", model, kernels)
        self._layer = DecoderLayer.load(tensors, prefix, model, kernels, 2 * hidden)
        self._norm = load_norm(tensors, "norm.weight", model, kernels)
        self._vocabulary = vocabulary = read_vocabulary(tensors, config, target)
        self._rotary = Rotary(model, target.config.max_position_embeddings, self._device)
        self._cache: KVCache | None = None
        self._last = torch.empty(0)
        self._confidence = load_confidence(config, tensors, kernels)
        check_all_read(tensors, directory)
        self.spec = DrafterSpec(
            "ar",
            config.max_gamma,
            target_layers(config, target.config, directory),
            config.has_confidence,
            (*vocabulary.notes, *config.notes),
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache and the last hidden state of each row."""
        model = self._config.model
        is_compiled = self._kernels is not None
        self._cache = KVCache(model, 1, num_rows, max_len, self._dtype, self._device, is_compiled)
        self._last = torch.zeros(
            num_rows, model.hidden_size, dtype=self._dtype, device=self._device
        )

    def extend(self, update: ContextUpdate) -> None:
        """Run the layer over committed tokens with true features; overwrites drafted entries."""
        cache = self._ready_cache()
        spans = [
            Span(row, start, count)
            for row, start, count in zip(update.rows, update.starts, update.counts, strict=True)
        ]
        plan = plan_attention(spans, cache)
        features = update.features
        if self._input_norm is not None:
            features = self._input_norm(features)
        hidden = self._step(self._fuse(features), update.next_token_ids, plan, cache)
        ends = torch.tensor(update.counts, device=self._device).cumsum(0) - 1
        self._last[torch.tensor(update.rows, device=self._device)] = hidden[ends]

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slot after slot, feeding the layer's output back."""
        cache = self._ready_cache()
        hidden = self._last[torch.tensor(batch.rows, device=self._device)]
        shape = (len(batch.rows), batch.num_slots)
        tokens = batch.anchors.new_zeros(shape)
        states = hidden.new_zeros(*shape, hidden.shape[-1])
        probs: Tensor | None = None
        drafting = list(range(shape[0]))
        for slot in range(batch.num_slots):
            if slot > 0:
                before = drafting
                drafting = [place for place in before if batch.draft_lens[place] > slot]
                if len(drafting) < len(before):
                    hidden = hidden[[before.index(place) for place in drafting]]
                spans = [
                    Span(batch.rows[place], batch.context_lens[place] + slot - 1, 1)
                    for place in drafting
                ]
                previous = tokens[drafting, slot - 1]
                hidden = self._step(hidden, previous, plan_attention(spans, cache), cache)
            state = self._norm(hidden)
            forced = None if batch.forced is None else batch.forced[drafting, slot]
            logits = self._vocabulary.lm_head(state)
            uniform = batch.uniform[drafting, slot]
            token, slot_probs = draw(logits, batch.sampling, uniform, forced, self._vocabulary)
            tokens[drafting, slot] = token
            states[drafting, slot] = state
            if slot_probs is not None:
                if probs is None:
                    probs = slot_probs.new_zeros(*shape, slot_probs.shape[-1])
                probs[drafting, slot] = slot_probs
        confidence = None if self._confidence is None else self._confidence(states)
        return Proposal(tokens, probs, confidence)

    def _step(
        self, hidden: Tensor, token_ids: Tensor, plan: AttentionPlan, cache: KVCache
    ) -> Tensor:
        """hidden [T, D] and the tokens [T] that follow -> next hidden [T, D]."""
        embedded = self._layer.input_norm(F.embedding(token_ids, self._vocabulary.embed))
        normed = self._hidden_norm(hidden)
        inputs = torch.cat([embedded, normed], dim=-1)
        rotation = self._rotary.at(plan.positions)
        attended = self._layer.attend(inputs, rotation, cache, 0, plan)
        return self._layer.finish(normed if self._config.norms_residual else hidden, attended)

    def _ready_cache(self) -> KVCache:
        if self._cache is None:
            raise RuntimeError("allocate() comes before extend() and propose()")
        return self._cache


def trainable(target: FrozenTarget, recipe: EagleRecipe) -> EagleModel:
    """The same architecture as a module to be trained."""
    return EagleModel(target, recipe)
