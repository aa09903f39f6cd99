"""Agreement by how certain the target is: why one drafter loses to another.

A token that the target is sure of, once it knows what came before, can still be unknown to a
drafter that does not know what it drew itself. So agreement along recorded continuations is split
by the entropy of the target's own distribution at each place.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.sampling import overlap
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.teacher_forcing import Sequences, score_blocks
from dspark_bench.models.target import TargetModel


def agreement_by_entropy(
    target: TargetModel,
    drafter: Drafter,
    sequences: Sequences,
    gamma: int,
    sampling: SamplingParams,
    edges: Sequence[float],
) -> tuple[Floats, Floats]:
    """Sums per sequence [R, gamma, E + 1]: of sum_v min(target, draft), and places counted.

    edges [E] in nats, rising: a place of entropy h is counted in the bin of the edges not above h.
    """
    shape = (len(sequences), gamma, len(edges) + 1)
    overlaps, counts = np.zeros(shape), np.zeros(shape)
    limits = torch.tensor(list(edges))
    slots = np.arange(gamma)
    for blocks in score_blocks(target, drafter, sequences, gamma, sampling):
        shared = overlap(blocks.target_probs, blocks.draft_probs).double().cpu().numpy()
        bins = torch.bucketize(entropy(blocks.target_probs).cpu(), limits, right=True).numpy()
        where = (np.array(blocks.places)[:, None], slots, bins)
        np.add.at(overlaps, where, shared)
        np.add.at(counts, where, 1.0)
    return overlaps, counts


def entropy(probs: Tensor) -> Tensor:
    """-sum p log p over the last dimension [..., V], nats; 0 for a distribution on one token."""
    summed: Tensor = torch.special.entr(probs).sum(-1)
    return summed
