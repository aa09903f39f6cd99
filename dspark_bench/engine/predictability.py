"""Agreement by kind of token: why one drafter loses to another.

A token that the target is sure of, once it knows what came before, can still be unknown to a
drafter that does not know what it drew itself. So agreement along recorded continuations is split
by the entropy of the target's own distribution at each place, and by whether its first choice is
copied from earlier text.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.random_streams import Bools, Floats, Ints
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.teacher_forcing import ScoredBlocks, Sequences, score_blocks
from dspark_bench.models.target import LoadedTarget

Classify = Callable[[ScoredBlocks], Ints]
"""The kind of every slot [A, K] of some blocks, counted from 0."""


def agreement_by_kind(
    target: LoadedTarget,
    drafter: Drafter,
    sequences: Sequences,
    gamma: int,
    sampling: SamplingParams,
    classify: Classify,
    num_kinds: int,
) -> tuple[Floats, Floats]:
    """Sums per sequence [R, gamma, num_kinds]: of sum_v min(target, draft), and places counted."""
    shape = (len(sequences), gamma, num_kinds)
    overlaps, counts = np.zeros(shape), np.zeros(shape)
    slots = np.arange(gamma)
    for blocks in score_blocks(target, drafter, sequences, gamma, sampling):
        shared = blocks.overlaps().double().cpu().numpy()
        where = (np.array(blocks.places)[:, None], slots, classify(blocks))
        np.add.at(overlaps, where, shared)
        np.add.at(counts, where, 1.0)
    return overlaps, counts


def entropy_bins(blocks: ScoredBlocks, edges: Sequence[float]) -> Ints:
    """[A, K]: how many of the edges, in nats and rising, lie not above the target's entropy."""
    limits = torch.tensor(list(edges))
    found = torch.bucketize(entropy(blocks.target_probs).cpu(), limits, right=True)
    return np.asarray(found.numpy(), dtype=np.int64)


def are_copies(blocks: ScoredBlocks, sequences: Sequences) -> Bools:
    """[A, K]: whether the target's first choice is what followed the last two tokens before."""
    first = blocks.target_probs.argmax(-1).cpu().numpy()
    slots = range(first.shape[1])
    repeated = {place: continued(sequences[place]) for place in set(blocks.places)}
    paired = zip(blocks.places, blocks.anchors, strict=True)
    seen = [[repeated[place][anchor + 1 + slot] for slot in slots] for place, anchor in paired]
    return np.asarray(first == np.array(seen))


def continued(sequence: tuple[Request, tuple[int, ...]]) -> list[int]:
    """For every token of prompt and output: what followed the two before it where they last stood
    side by side; -1 where they never did.
    """
    request, output = sequence
    tokens = (*request.prompt_tokens, *output)
    after: dict[tuple[int, int], int] = {}
    found = [-1] * min(2, len(tokens))
    for a, b, token in zip(tokens, tokens[1:], tokens[2:], strict=False):
        found.append(after.get((a, b), -1))
        after[a, b] = token
    return found


def entropy(probs: Tensor) -> Tensor:
    """-sum p log p over the last dimension [..., V], nats; 0 for a distribution on one token."""
    summed: Tensor = torch.special.entr(probs).sum(-1)
    return summed
