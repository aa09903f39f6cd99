"""Drawing the token of a draft slot: what every drafter does the same way."""

from torch import Tensor

from dspark_bench.core.sampling import sample, token_probs
from dspark_bench.core.types import DraftBatch, Proposal, SamplingParams
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
    return Proposal(
        pad(tokens, lens),
        None if probs is None else pad(probs, lens),
        None if confidence is None else pad(confidence(hidden), lens),
    )


def _spread(probs: Tensor, ids: Tensor, size: int) -> Tensor:
    """probs [..., U] of the tokens ids [U] -> [..., V], 0 for all others."""
    return probs.new_zeros(*probs.shape[:-1], size).index_copy_(-1, ids, probs)
