"""`agreement[k]`: how well a drafter matches the target k tokens ahead, reached or not.

Conditional acceptance sees only the cycles that survived to position k, which are the easy ones.
Here the drafter is scored along recorded target continuations, every anchor counted: 1 - TV between
target and drafter at each position.
"""

import torch

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.sampling import overlap
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.teacher_forcing import Sequences, score_blocks
from dspark_bench.models.target import TargetModel


def measure_agreement(
    target: TargetModel,
    drafter: Drafter,
    sequences: Sequences,
    gamma: int,
    sampling: SamplingParams,
) -> tuple[float, ...]:
    """Mean of sum_v min(target, draft) at positions 1..gamma; NaN if no output is long enough."""
    total, count = torch.zeros(gamma, dtype=torch.float64), 0
    for blocks in score_blocks(target, drafter, sequences, gamma, sampling):
        total += overlap(blocks.target_probs, blocks.draft_probs).sum(0).double().cpu()
        count += blocks.tokens.shape[0]
    return tuple((total / count).tolist()) if count else (float("nan"),) * gamma
