"""`agreement[k]`: how well a drafter matches the target k tokens ahead, reached or not.

Conditional acceptance sees only the cycles that survived to position k, which are the easy ones.
Here the drafter is scored along recorded target continuations, every anchor counted: 1 - TV between
target and drafter at each position. Where a drafter proposes nothing, it agrees with nothing: 0.
"""

import numpy as np

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.teacher_forcing import Sequences, score_blocks
from dspark_bench.models.target import LoadedTarget


def measure_agreement(
    target: LoadedTarget,
    drafter: Drafter,
    sequences: Sequences,
    gamma: int,
    sampling: SamplingParams,
) -> tuple[Floats, Floats]:
    """Sums per sequence: [R, gamma] of sum_v min(target, draft) over its anchors, and [R] anchors.

    A sequence too short for one block has no anchor.
    """
    overlaps, anchors = np.zeros((len(sequences), gamma)), np.zeros(len(sequences))
    for blocks in score_blocks(target, drafter, sequences, gamma, sampling):
        shared = blocks.overlaps().double().cpu().numpy()
        places = list(blocks.places)
        np.add.at(overlaps, places, shared)
        np.add.at(anchors, places, 1.0)
    return overlaps, anchors
