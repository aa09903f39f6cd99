"""`draft_model`: a small decoder of its own drafts for the target (Leviathan et al. 2023).

It knows the target by its tokens alone, keeps its own cache, and runs once per draft token. Of what
it has drafted, the keys and values of accepted tokens are kept; what it has not read yet, a last
accepted draft or the tokens of cycles without a draft, it reads together with the next anchor.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from dspark_bench.core.types import (
    LARGEST_PROBABILITY,
    ContextUpdate,
    DraftBatch,
    DrafterSpec,
    Proposal,
)
from dspark_bench.drafters.slot_sampling import Certainty, draw
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.draft_config import DECODER
from dspark_bench.models.draft_decoder import DraftDecoder
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.target import LoadedTarget
from dspark_bench.training.decoder_model import DecoderModel, DecoderRecipe
from dspark_bench.training.target_features import FrozenTarget

MOST_UNREAD: Final = 16
"""Committed tokens that wait for the next draft at most. Prompts are longer: they are read in the
cycle that commits them."""


class DraftModelDrafter:
    """Reads a decoder's folder, as a target's is read."""

    READS: Final = DECODER
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        self._model = DraftDecoder.load(Path(path), target)
        self._device = target.device
        self._cache: KVCache | None = None
        self._rows: list[_Row] = []
        self.spec = DrafterSpec(
            "draft_model",
            None,
            (),
            has_confidence=True,
            notes=self._model.notes,
            confidence_kind=LARGEST_PROBABILITY,
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the cache and forget every request."""
        self._cache = self._model.new_cache(num_rows, max_len)
        self._rows = [_Row() for _ in range(num_rows)]

    def extend(self, update: ContextUpdate) -> None:
        """Take note of new tokens; read them if they are many."""
        tokens, at = update.token_ids.tolist(), 0
        for row, start, count in zip(update.rows, update.starts, update.counts, strict=True):
            if start == 0:
                self._rows[row] = _Row()
            self._rows[row].commit(tokens[at : at + count])
            at += count
        late = [row for row in update.rows if len(self._rows[row].unread) > MOST_UNREAD]
        if late:
            self._read(late)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Read up to the anchor, then draw slot after slot, each token fed back."""
        shape = (len(batch.rows), batch.num_slots)
        tokens = batch.anchors.new_zeros(shape)
        probs: Tensor | None = None
        stand_in = Certainty(batch)
        logits = self._model.logits(self._read(batch.rows, batch.anchors.tolist()))
        for slot in range(batch.num_slots):
            drafting = [place for place, length in enumerate(batch.draft_lens) if length > slot]
            if slot > 0:
                spans = [
                    Span(batch.rows[place], batch.context_lens[place] + slot, 1)
                    for place in drafting
                ]
                logits = self._model.logits(self._forward(tokens[drafting, slot - 1], spans))
            forced = None if batch.forced is None else batch.forced[drafting, slot]
            uniform = batch.uniform[drafting, slot]
            token, slot_probs = draw(logits, batch.sampling, uniform, forced)
            tokens[drafting, slot] = token
            stand_in.note(drafting, slot, logits, slot_probs)
            if slot_probs is not None:
                if probs is None:
                    probs = slot_probs.new_zeros(*shape, slot_probs.shape[-1])
                probs[drafting, slot] = slot_probs
        drafted = zip(batch.rows, tokens.tolist(), batch.draft_lens, strict=True)
        for row, own, length in drafted:
            self._rows[row].ahead += own[: length - 1]
        return Proposal(tokens, probs, stand_in.table)

    def _read(self, rows: Sequence[int], anchors: Sequence[int] = ()) -> Tensor:
        """Run what is unread of these rows, and their anchors behind it if given; returns the
        hidden states [B, D] behind the last token of each.
        """
        states = [self._rows[row] for row in rows]
        ends = [[anchor] for anchor in anchors] or [[] for _ in rows]
        runs = [state.unread + end for state, end in zip(states, ends, strict=True)]
        spans = [
            Span(row, state.num_read, len(run))
            for row, state, run in zip(rows, states, runs, strict=True)
        ]
        flat = torch.tensor([token for run in runs for token in run], device=self._device)
        last = torch.tensor(list(accumulate(map(len, runs))), device=self._device) - 1
        hidden = self._forward(flat, spans)[last]
        for state, end in zip(states, ends, strict=True):
            state.read(end)
        return hidden

    def _forward(self, token_ids: Tensor, spans: Sequence[Span]) -> Tensor:
        if self._cache is None:
            raise RuntimeError("allocate() comes before extend() and propose()")
        return self._model.forward(token_ids, plan_attention(spans, self._cache), self._cache)


@dataclass(slots=True)
class _Row:
    """What a cache row holds. Mutated by `commit` and `read`, and by drafting.

    num_read: committed tokens whose keys and values stand in it; unread: committed tokens behind
    those; ahead: tokens run behind the context, none of them committed yet: anchor and drafts.
    """

    num_read: int = 0
    unread: list[int] = field(default_factory=list)
    ahead: list[int] = field(default_factory=list)

    def commit(self, tokens: list[int]) -> None:
        """New context. Of what was run ahead, the part that came true has been read."""
        pairs = zip(tokens, self.ahead, strict=False)
        num_true = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self.num_read += num_true
        self.unread += tokens[num_true:]
        self.ahead = []

    def read(self, ahead: list[int]) -> None:
        """All that was committed has been run, and `ahead` behind it."""
        self.num_read += len(self.unread)
        self.unread = []
        self.ahead = ahead


def trainable(target: FrozenTarget, recipe: DecoderRecipe) -> DecoderModel:
    """The same architecture as a module to be trained."""
    return DecoderModel(target, recipe)
