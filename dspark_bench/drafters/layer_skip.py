"""`layer_skip`: the target's own first layers, or some of them, with its final norm and head.

No weights and no training: leaving a model early (Elhoushi et al. 2024, "LayerSkip") or leaving out
some of its layers (Zhang et al. 2023, "Draft & Verify") is a draft that any target can make of
itself, and so the floor that a trained drafter has to beat.

What the layers have read of the context stands in the target's cache already, so nothing is read
twice and there is no cache of its own. The keys and values of anchor and drafts are written behind
the context, where the target's next pass writes every position before it reads it.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import (
    LARGEST_PROBABILITY,
    ContextUpdate,
    DraftBatch,
    DrafterSpec,
    Proposal,
)
from dspark_bench.drafters.slot_sampling import Certainty, draw
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.target import LoadedTarget, TargetModel

Layers = int | Sequence[int] | None

_USUAL_SHARE: Final = 4
"""Without a number, the target's layers divided by this are run."""
_VALID: Final = "a number of layers from 1 on, a list of layers in rising order, or null"


class LayerSkipDrafter:
    """Runs some of the target's layers, once per draft token. See `models.shared_cache`."""

    def __init__(self, target: LoadedTarget, layers: Layers = None) -> None:
        """layers: see conf/drafter/layer_skip.yaml. Raises UsageError for those that the target
        does not have, and for a target whose layers are not computed here.
        """
        self.check_keys(layers)
        if not isinstance(target, TargetModel):
            raise UsageError(
                "drafter=layer_skip runs layers of a target that is computed here, and this one "
                "is computed by transformers; valid: target.backend=own, for the families it has"
            )
        chosen = _chosen(layers, target.config.num_hidden_layers)
        self._target = target
        self._parts = [target.layers.part(first, last) for first, last in _runs(chosen)]
        self._cache: KVCache | None = None
        self.spec = DrafterSpec(
            "layer_skip",
            None,
            (),
            has_confidence=True,
            reads_target_cache=True,
            confidence_kind=LARGEST_PROBABILITY,
        )

    @staticmethod
    def check_keys(layers: Layers = None) -> None:
        """Raise UsageError for what names no layers of any target."""
        if layers is None:
            return
        numbers = list(layers) if isinstance(layers, Sequence) else [layers]
        is_known = bool(numbers) and all(type(number) is int for number in numbers)
        if isinstance(layers, Sequence):
            is_known = is_known and numbers[0] >= 0 and numbers == sorted(set(numbers))
        if not is_known or (not isinstance(layers, Sequence) and layers < 1):
            raise UsageError(f"drafter.layers is {layers!r}; valid: {_VALID}")

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Forget the target's cache: the next one is handed over by `share`."""
        self._cache = None

    def share(self, cache: KVCache) -> None:
        """The target's cache, of which the context is read."""
        self._cache = cache

    def extend(self, update: ContextUpdate) -> None:
        """Nothing to do: the target has read these tokens."""

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slot after slot, each from a pass over the one before."""
        shape = (len(batch.rows), batch.num_slots)
        tokens = batch.anchors.new_zeros(shape[0], shape[1] + 1)
        tokens[:, 0] = batch.anchors
        probs: Tensor | None = None
        stand_in = Certainty(batch)
        for slot in range(batch.num_slots):
            drafting = [place for place, length in enumerate(batch.draft_lens) if length > slot]
            logits = self._step(tokens[drafting, slot], batch, drafting, slot)
            forced = None if batch.forced is None else batch.forced[drafting, slot]
            uniform = batch.uniform[drafting, slot]
            token, slot_probs = draw(logits, batch.sampling, uniform, forced)
            tokens[drafting, slot + 1] = token
            stand_in.note(drafting, slot, logits, slot_probs)
            if slot_probs is not None:
                if probs is None:
                    probs = slot_probs.new_zeros(*shape, slot_probs.shape[-1])
                probs[drafting, slot] = slot_probs
        return Proposal(tokens[:, 1:], probs, stand_in.table)

    def _step(
        self, token_ids: Tensor, batch: DraftBatch, drafting: Sequence[int], slot: int
    ) -> Tensor:
        """Logits [n, V] behind the tokens [n] in front of a slot, of n requests."""
        if self._cache is None:
            raise RuntimeError("share() comes before propose()")
        spans = [
            Span(batch.target_rows[place], batch.context_lens[place] + slot, 1)
            for place in drafting
        ]
        target, plan = self._target, plan_attention(spans, self._cache)
        x, rotation = F.embedding(token_ids, target.embed), target.rotary.at(plan.positions)
        for part in self._parts:
            x, _ = part.forward(x, rotation, self._cache, plan)
        return target.lm_head(target.norm(x)).float()


def _chosen(layers: Layers, depth: int) -> list[int]:
    """The layers that are run, 0-based. Raises UsageError for those beyond the target's."""
    if layers is None:
        layers = max(1, depth // _USUAL_SHARE)
    if isinstance(layers, Sequence):
        if layers[-1] >= depth:
            raise UsageError(
                f"drafter.layers holds {layers[-1]}; valid for this target: 0 to {depth - 1}"
            )
        return list(layers)
    if layers > depth:
        raise UsageError(f"drafter.layers is {layers}; valid for this target: 1 to {depth}")
    return list(range(layers))


def _runs(layers: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring layers together, as first and last + 1."""
    runs = groupby(enumerate(layers), key=lambda item: item[1] - item[0])
    found = [[layer for _, layer in run] for _, run in runs]
    return [(run[0], run[-1] + 1) for run in found]
