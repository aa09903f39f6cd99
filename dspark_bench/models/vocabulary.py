"""The embedding and head that a drafter works with: its files' own, or its target's.

Many released drafters carry copies of both, frozen while they were trained. Copies that are another
model's are the surest sign that a drafter is run beside a target that it was not made for. Other
formats train a head of their own, often over a part of the vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.draft_vocabulary import read_token_ids
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import Tensors, take
from dspark_bench.models.target import LoadedTarget

EMBEDDING, HEAD = "embed_tokens.weight", "lm_head.weight"
ROUNDING = 2.0**-8
"""Largest relative error of a number that was rounded to bfloat16, the coarsest stored type."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """embed [V, D]; lm_head D -> U; token_ids [U]: the target's token that each logit is for, None
    where they are all of them in order; size: V; notes: what its user must know.
    """

    embed: Tensor
    lm_head: Linear
    token_ids: Tensor | None
    size: int
    notes: tuple[str, ...]


def read_vocabulary(tensors: Tensors, config: DraftConfig, target: LoadedTarget) -> Vocabulary:
    """Copies that equal the target's up to rounding are shared with it; others are used as they
    are, and noted. A tied head is the embedding. A drafter of another width than its target must
    have its own of both; one that drafts a part of the vocabulary and stores no head has the rows
    of its target's that belong to that part. Raises CheckpointError for what is missing or of
    another shape.
    """
    size, width = config.model.vocab_size, config.model.hidden_size
    is_same_width = width == target.config.hidden_size
    token_ids = read_token_ids(tensors, config)
    notes = []
    embed = target.embed
    if EMBEDDING in tensors or not is_same_width:
        copy = take(tensors, EMBEDDING, size, width)
        if not is_same_width or not _is_same(copy, target.embed):
            embed = copy
        if is_same_width and embed is copy:
            notes.append(_different(EMBEDDING, copy, target.embed))
    if config.has_own_head or not is_same_width:
        weight = take(tensors, HEAD, config.draft_vocab_size, width)
    elif token_ids is not None:
        weight = target.head_weight[token_ids]
    elif HEAD in tensors:
        weight = take(tensors, HEAD, size, width)
        if _is_same(weight, target.head_weight):
            weight = target.head_weight
        else:
            notes.append(_different(HEAD, weight, target.head_weight))
    else:
        weight = embed if config.model.tie_word_embeddings else target.head_weight
    is_shared = weight is target.head_weight
    head = target.lm_head if is_shared else Linear(weight, None, target.kernels_for(config.model))
    return Vocabulary(embed, head, token_ids, size, tuple(notes))


def _is_same(copy: Tensor, original: Tensor) -> bool:
    if copy is original or torch.equal(copy, original):
        return True
    return bool(((copy - original).abs() <= ROUNDING * original.abs()).all())


def _different(name: str, copy: Tensor, original: Tensor) -> str:
    flat, other = copy.float().flatten(), original.float().flatten()
    likeness = float(torch.nn.functional.cosine_similarity(flat, other, dim=0))
    return (
        f"the drafter's own {name} differs from its target's (cosine {likeness:.2f}) and is used: "
        "was the drafter made for another target?"
    )
