"""The embedding and head that a drafter works with: its files' copies, or its target's.

Released drafters carry copies of both, frozen while they were trained. Copies that are another
model's are the surest sign that a drafter is run beside a target that it was not made for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.layers import Tensors, take
from dspark_bench.models.linear import Linear
from dspark_bench.models.target import LoadedTarget

EMBEDDING, HEAD = "embed_tokens.weight", "lm_head.weight"
ROUNDING = 2.0**-8
"""Largest relative error of a number that was rounded to bfloat16, the coarsest stored type."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """embed [V, D]; lm_head D -> V; notes: what its user must know."""

    embed: Tensor
    lm_head: Linear
    notes: tuple[str, ...]


def read_vocabulary(tensors: Tensors, config: DraftConfig, target: LoadedTarget) -> Vocabulary:
    """Copies that equal the target's up to rounding are shared with it; others are used as they
    are, and noted. A tied head is the embedding. Raises CheckpointError for another shape.
    """
    shape = (config.model.vocab_size, config.model.hidden_size)
    theirs = {EMBEDDING: target.embed, HEAD: target.head_weight}
    ours = dict(theirs)
    notes = []
    for name in (EMBEDDING, HEAD):
        if name not in tensors:
            continue
        copy = take(tensors, name, *shape)
        if not _is_same(copy, theirs[name]):
            ours[name] = copy
            notes.append(_different(name, copy, theirs[name]))
    if config.model.tie_word_embeddings and HEAD not in tensors:
        ours[HEAD] = ours[EMBEDDING]
    is_shared = ours[HEAD] is target.head_weight
    head = (
        target.lm_head if is_shared else Linear(ours[HEAD], None, target.kernels_for(config.model))
    )
    return Vocabulary(ours[EMBEDDING], head, tuple(notes))


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
