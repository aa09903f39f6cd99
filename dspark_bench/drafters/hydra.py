"""`hydra`: Medusa's heads, each of which also reads the tokens before its own (Hydra section 3).

Head i drafts token t + 2 + i from [h_t; emb(t + 1); ...; emb(t + 1 + i)]: the newest state of the
target, the anchor, and the drafts so far. Slots follow one another, so a draft is drawn knowing its
whole prefix, at the price of one head a slot; there is no attention and no cache.
"""

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import DraftBatch, Proposal
from dspark_bench.drafters.branching import choice_ids, ranking
from dspark_bench.drafters.last_state import HeadDrafter
from dspark_bench.drafters.slot_sampling import Certainty, draw
from dspark_bench.models.draft_config import HYDRA
from dspark_bench.models.draft_heads import DraftHeads
from dspark_bench.models.target import LoadedTarget
from dspark_bench.training.head_models import HeadRecipe, HydraModel
from dspark_bench.training.target_features import FrozenTarget


class HydraDrafter(HeadDrafter):
    """Reads Hydra's MLP heads."""

    READS: Final = HYDRA
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        super().__init__("hydra", HYDRA, path, target)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slots from left to right, each head reading what was drawn.

        Shorter drafts go on to the longest one's end: a row more costs less than to take it out.
        """
        inputs, previous = self._states.of(batch.rows), batch.anchors
        tokens: list[Tensor] = []
        probs: list[Tensor] = []
        stand_in = Certainty(batch)
        for slot in range(batch.num_slots):
            inputs = _grown(inputs, previous, self._heads)
            logits = _logits(inputs, slot, self._heads)
            forced = None if batch.forced is None else batch.forced[:, slot]
            uniform = batch.uniform[:, slot]
            previous, law = draw(logits, batch.sampling, uniform, forced, self._heads.vocabulary)
            tokens.append(previous)
            stand_in.note(slice(None), slot, logits, law)
            if law is not None:
                probs.append(law)
        laws = torch.stack(probs, 1) if probs else None
        return Proposal(torch.stack(tokens, 1), laws, stand_in.table)

    def branch(self, batch: DraftBatch) -> "HydraBranches":
        """A head behind every prefix: a tree of conditionals."""
        return HydraBranches(self._states.of(batch.rows), batch, self._heads)


class HydraBranches:
    """See `core.protocols.Branches`: each prefix has inputs of its own, which grow with it."""

    def __init__(self, states: Tensor, batch: DraftBatch, heads: DraftHeads) -> None:
        """states [B, D]: what every prefix of a request starts from."""
        self._inputs = states
        self._sampling = ranking(batch.sampling)
        self._heads = heads
        self._depth = 0

    @property
    def num_choices(self) -> int:
        """U."""
        ids = self._heads.vocabulary.token_ids
        return self._heads.vocabulary.size if ids is None else len(ids)

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        """The head of the next slot, behind each prefix."""
        before = self._inputs[requests if origins is None else origins]
        self._inputs = _grown(before, previous, self._heads)
        logits = _logits(self._inputs, self._depth, self._heads)
        self._depth += 1
        return token_probs(logits, self._sampling)

    def token_ids(self, choices: Tensor) -> Tensor:
        """In the target's vocabulary."""
        return choice_ids(self._heads.vocabulary, choices)


def _grown(inputs: Tensor, previous: Tensor, heads: DraftHeads) -> Tensor:
    """Inputs [n, W] of a head and the tokens [n] it led to -> inputs of the next [n, W + D]."""
    return torch.cat([inputs, F.embedding(previous, heads.vocabulary.embed)], dim=-1)


def _logits(inputs: Tensor, slot: int, heads: DraftHeads) -> Tensor:
    """[n, (slot + 2) D] -> [n, U]."""
    head = heads[slot]
    return head.lm_head(head.state(inputs))


def trainable(target: FrozenTarget, recipe: HeadRecipe) -> HydraModel:
    """The same architecture as a module to be trained, under the target's head."""
    return HydraModel(target, recipe)
