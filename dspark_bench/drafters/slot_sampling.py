"""Drawing the token of a draft slot: what every drafter does the same way."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dspark_bench.core.sampling import sample, token_probs
from dspark_bench.core.types import (
    CONFIDENCE_HEAD,
    LARGEST_PROBABILITY,
    DraftBatch,
    Proposal,
    SamplingParams,
)
from dspark_bench.drafters.ragged import pad, unpad
from dspark_bench.models.block_backbone import BlockBackbone
from dspark_bench.models.confidence_head import ConfidenceHead
from dspark_bench.models.vocabulary import Vocabulary


def draw(
    logits: Tensor,
    sampling: SamplingParams,
    uniform: Tensor,
    forced: Tensor | None,
    vocabulary: Vocabulary | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Tokens [...] and the probabilities [..., V] they were drawn from (None when greedy).

    logits [..., U] over the tokens that can be drafted; uniform [...] float64; forced [...]: tokens
    to take instead of drawing; vocabulary: which tokens those are, None for all in order. Tokens
    and probabilities are the target's: one that cannot be drafted has probability 0.
    """
    ids = None if vocabulary is None else vocabulary.token_ids
    if sampling.is_greedy:
        if forced is not None:
            return forced, None
        best = logits.argmax(-1)
        return (best if ids is None else ids[best]), None
    probs = token_probs(logits, sampling)
    spread = probs
    if vocabulary is not None and ids is not None:
        spread = _spread(probs, ids, vocabulary.size)
    if forced is not None:
        return forced, spread
    flat = sample(probs.flatten(0, -2), uniform.reshape(-1)).view(logits.shape[:-1])
    return (flat if ids is None else ids[flat]), spread


class Certainty:
    """A stand-in for confidences: the largest probability of what each slot's token is drawn from.

    It is told a slot's distribution and never its token, so whether the slot is verified may hang
    on it: it knows x_1..x_{k-1} at most. Greedy, it is that of the plain distribution. As it is, it
    is no probability of acceptance; `calibrate` or `calibrator=online` make one of it, position by
    position.
    """

    def __init__(self, batch: DraftBatch) -> None:
        """Keeps nothing unless `batch.wants_confidence`."""
        self.table: Tensor | None = None
        if batch.wants_confidence:
            self.table = torch.zeros(batch.uniform.shape, device=batch.anchors.device)

    def note(
        self,
        places: Sequence[int] | slice | Tensor,
        slot: int,
        logits: Tensor,
        probs: Tensor | None,
    ) -> None:
        """Of one slot of some requests. logits [n, U]; probs [n, V], None when greedy."""
        if self.table is not None:
            self.table[places, slot] = largest_probability(logits, probs)


def largest_probability(logits: Tensor, probs: Tensor | None) -> Tensor:
    """[...] fp32 of what tokens are drawn from: probs [..., V], or softmax of logits [..., U]."""
    if probs is not None:
        return probs.amax(-1).float()
    values = logits.float()
    return (values.amax(-1) - values.logsumexp(-1)).exp()


def draw_block(
    backbone: BlockBackbone, batch: DraftBatch, confidence: ConfidenceHead | None
) -> Proposal:
    """One pass of a block backbone; every slot is drawn from its own marginal."""
    lens = batch.draft_lens
    hidden = backbone.forward(batch)
    forced = None if batch.forced is None else unpad(batch.forced, lens)
    vocabulary = backbone.vocabulary
    logits, uniform = vocabulary.lm_head(hidden), unpad(batch.uniform, lens)
    tokens, probs = draw(logits, batch.sampling, uniform, forced, vocabulary)
    judged: Tensor | None = None
    if confidence is not None:
        judged = pad(confidence(hidden), lens)
    elif batch.wants_confidence:
        judged = pad(largest_probability(logits, probs), lens)
    return Proposal(pad(tokens, lens), None if probs is None else pad(probs, lens), judged)


def confidence_kind(has_head: bool) -> str:
    """What a drafter's confidences are: its head's, or the stand-in."""
    return CONFIDENCE_HEAD if has_head else LARGEST_PROBABILITY


def _spread(probs: Tensor, ids: Tensor, size: int) -> Tensor:
    """probs [..., U] of the tokens ids [U] -> [..., V], 0 for all others."""
    return probs.new_zeros(*probs.shape[:-1], size).index_copy_(-1, ids, probs)
