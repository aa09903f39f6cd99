"""Drafting with k modules, each for one depth (DeepSeek-V3 section 2.2): module k drafts token k.

Entry i of module k pairs the state that module k - 1 made of position i (module 1: the target's)
with token i + k, and sees module k's own entries up to i. So with the text known up to the anchor,
token n + 1, module k has committed entries up to n + 1 - k alone; those behind, k - 1 of them, wait
for tokens that are drafted now, and are run again once these are committed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dspark_bench.core.types import ContextUpdate, DraftBatch, Proposal
from dspark_bench.drafters.fed_back import FedBackLayer
from dspark_bench.drafters.slot_sampling import Certainty, draw
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.config import ModelConfig
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.vocabulary import Vocabulary


class ModuleChain:
    """The context of each row in each module, and chains drafted from it."""

    def __init__(
        self,
        layers: Sequence[FedBackLayer],
        vocabularies: Sequence[Vocabulary],
        model: ModelConfig,
        dtype: torch.dtype,
        device: torch.device,
        is_compiled: bool,
    ) -> None:
        """layers, vocabularies: one of each for each depth; model: shape of a layer."""
        self._layers, self._vocabularies = tuple(layers), tuple(vocabularies)
        self._model, self._dtype, self._device = model, dtype, device
        self._is_compiled = is_compiled
        self._caches: list[KVCache] = []
        self._last = torch.empty(0)

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve a cache for each module, and the last committed state of each row in each."""
        kind = (num_rows, max_len, self._dtype, self._device, self._is_compiled)
        self._caches = [KVCache(self._model, 1, *kind) for _ in self._layers]
        shape = (len(self._layers), num_rows, self._model.hidden_size)
        self._last = torch.zeros(shape, dtype=self._dtype, device=self._device)

    def extend(self, update: ContextUpdate) -> None:
        """Run every module over the entries whose tokens are committed now; overwrites drafted
        entries.
        """
        sizes = list(update.counts)
        states = list(update.features.split(sizes))
        following = update.next_token_ids.split(sizes)
        for depth in range(len(self._layers)):
            ends = [start + count for start, count in zip(update.starts, sizes, strict=True)]
            starts = [max(0, start - depth) for start in update.starts]
            counts = [max(0, end - depth) - start for start, end in zip(starts, ends, strict=True)]
            inputs = [one[:count] for one, count in zip(states, counts, strict=True)]
            tokens = [one[len(one) - n :] for one, n in zip(following, counts, strict=True)]
            outputs = self._run(depth, update.rows, starts, inputs, tokens)
            states = [
                torch.cat([self._last[depth, row, None], one]) if start else one
                for row, start, one in zip(update.rows, starts, outputs, strict=True)
            ]
            for row, one in zip(update.rows, outputs, strict=True):
                if len(one):
                    self._last[depth, row] = one[-1]

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slot after slot, each from a module of its own."""
        shape = (len(batch.rows), batch.num_slots)
        tokens = batch.anchors.new_zeros(shape)
        probs: Tensor | None = None
        stand_in = Certainty(batch)
        drafting = list(range(shape[0]))
        states = [self._last[0, row, None] for row in batch.rows]
        for slot in range(batch.num_slots):
            if slot > 0:
                kept = [place for place, n in enumerate(batch.draft_lens) if n > slot]
                before = dict(zip(drafting, states, strict=True))
                drafting = kept
                states = self._deeper(slot, batch, kept, [before[one] for one in kept], tokens)
            read = self._layers[slot].read_out(torch.stack([one[-1] for one in states]))
            vocabulary = self._vocabularies[slot]
            logits = vocabulary.lm_head(read)
            forced = None if batch.forced is None else batch.forced[drafting, slot]
            uniform = batch.uniform[drafting, slot]
            token, slot_probs = draw(logits, batch.sampling, uniform, forced, vocabulary)
            tokens[drafting, slot] = token
            stand_in.note(drafting, slot, logits, slot_probs)
            if slot_probs is not None:
                if probs is None:
                    probs = slot_probs.new_zeros(*shape, slot_probs.shape[-1])
                probs[drafting, slot] = slot_probs
        return Proposal(tokens, probs, stand_in.table)

    def _deeper(
        self,
        depth: int,
        batch: DraftBatch,
        places: Sequence[int],
        states: Sequence[Tensor],
        tokens: Tensor,
    ) -> list[Tensor]:
        """States of module `depth` (from 0) at the entries that wait, its last committed one first.

        states: of the module before, at the same entries and shaped alike; tokens: drafted so far.
        """
        rows = [batch.rows[place] for place in places]
        starts = [
            batch.context_lens[place] - len(one) for place, one in zip(places, states, strict=True)
        ]
        behind = [
            tokens[place, depth - len(one) : depth]
            for place, one in zip(places, states, strict=True)
        ]
        outputs = self._run(depth, rows, starts, states, behind)
        return [
            torch.cat([self._last[depth, row, None], one]) if start else one
            for row, start, one in zip(rows, starts, outputs, strict=True)
        ]

    def _run(
        self,
        depth: int,
        rows: Sequence[int],
        starts: Sequence[int],
        states: Sequence[Tensor],
        tokens: Sequence[Tensor],
    ) -> list[Tensor]:
        """One pass of a module over entries from `starts` on, of those rows that have any."""
        if not self._caches:
            raise RuntimeError("allocate() comes before extend() and propose()")
        spans = [
            Span(row, start, len(one))
            for row, start, one in zip(rows, starts, states, strict=True)
            if len(one)
        ]
        if not spans:
            return list(states)
        layer, cache = self._layers[depth], self._caches[depth]
        inputs = torch.cat(list(states))
        if depth == 0:
            inputs = layer.fuse(inputs)
        found = layer.step(inputs, torch.cat(list(tokens)), plan_attention(spans, cache), cache)
        return list(found.split([len(one) for one in states]))
