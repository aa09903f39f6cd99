"""`semi_ar`: DSpark. A parallel backbone, then a light sequential head over its logits.

The backbone costs one pass whatever the draft length; the head adds, slot by slot, what the token
just drawn says about the next. An optional confidence head estimates each slot's conditional
acceptance from the backbone and the *previous* token, never from the token it judges.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.branching import HeadBranches
from dspark_bench.drafters.ragged import pad, pick, slot_rows, unpad
from dspark_bench.drafters.sequential_heads import State, load_head, load_rows
from dspark_bench.drafters.slot_sampling import Certainty, confidence_kind, draw
from dspark_bench.models.block_backbone import BlockBackbone
from dspark_bench.models.checkpoint import check_all_read
from dspark_bench.models.confidence_head import load_confidence
from dspark_bench.models.draft_config import DSPARK, check_head
from dspark_bench.models.target import LoadedTarget
from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.target_features import FrozenTarget


class SemiAutoregressiveDrafter:
    """Reads a DSpark checkpoint with a vanilla, gated or rnn head."""

    READS: Final = DSPARK
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget, head: str = "checkpoint") -> None:
        """`head`: vanilla, gated, rnn, or `checkpoint` for whatever the files hold."""
        directory = Path(path)
        self._backbone, tensors = BlockBackbone.load(directory, target, DSPARK)
        config = self._backbone.config
        check_head(config, head, path)
        self._rows = load_rows(config, tensors)
        self._head = load_head(config, tensors, self._backbone.kernels)
        self._confidence = load_confidence(config, tensors, self._backbone.kernels)
        check_all_read(tensors, directory)
        self.spec = DrafterSpec(
            "semi_ar",
            config.max_gamma,
            self._backbone.feature_layers,
            has_confidence=True,
            notes=self._backbone.notes,
            can_branch=True,
            confidence_kind=confidence_kind(config.has_confidence),
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache."""
        self._backbone.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        """Inject newly committed tokens."""
        self._backbone.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slots from left to right, each biased by the one before."""
        lens, sampling = batch.draft_lens, batch.sampling
        hidden = self._backbone.forward(batch)
        vocabulary = self._backbone.vocabulary
        base = vocabulary.lm_head(hidden)
        shape = (len(lens), batch.num_slots)
        tokens = batch.anchors.new_zeros(shape[0], shape[1] + 1)
        tokens[:, 0] = batch.anchors
        probs = None if sampling.is_greedy else _empty_probs(base, *shape, vocabulary.size)
        stand_in = Certainty(batch) if self._confidence is None else None
        state: State = None
        drafting: Tensor | None = None
        for slot, rows in enumerate(slot_rows(lens, hidden.device)):
            state = _keep(state, drafting, rows.requests)
            drafting = rows.requests
            previous = pick(tokens[:, slot], rows)
            bias, state = self._head.bias(previous, hidden[rows.rows], state)
            forced = None if batch.forced is None else pick(batch.forced[:, slot], rows)
            uniform = pick(batch.uniform[:, slot], rows)
            logits = base[rows.rows] + bias
            token, slot_probs = draw(logits, sampling, uniform, forced, vocabulary)
            place = slice(None) if rows.requests is None else rows.requests
            tokens[place, slot + 1] = token
            if stand_in is not None:
                stand_in.note(place, slot, logits, slot_probs)
            if probs is not None:
                assert slot_probs is not None
                probs[place, slot] = slot_probs
        judged = self._judge(hidden, tokens[:, :-1], lens) if stand_in is None else stand_in.table
        return Proposal(tokens[:, 1:], probs, judged)

    def branch(self, batch: DraftBatch) -> HeadBranches:
        """The backbone once; then the head behind every prefix: a tree of conditionals."""
        hidden = self._backbone.forward(batch)
        return HeadBranches(hidden, batch, self._backbone.vocabulary, self._head)

    def _judge(self, hidden: Tensor, previous: Tensor, lens: Sequence[int]) -> Tensor | None:
        """Confidence [B, K] from hidden [T, D] and the tokens [B, K] before each slot."""
        if self._confidence is None:
            return None
        return pad(self._confidence(hidden, F.embedding(unpad(previous, lens), self._rows)), lens)


def _empty_probs(like: Tensor, *shape: int) -> Tensor:
    return torch.zeros(shape, device=like.device)


def _keep(state: State, before: Tensor | None, now: Tensor | None) -> State:
    """The state of those who still draft. before, now: who drafted the last slot and draws this."""
    if state is None or before is None or now is None or before.shape == now.shape:
        return state
    return state[torch.isin(before, now)]


def trainable(target: FrozenTarget, recipe: BlockRecipe) -> BlockModel:
    """The same architecture as a module to be trained."""
    return BlockModel(target, recipe)
