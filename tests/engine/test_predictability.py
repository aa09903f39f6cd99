import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.agreement import measure_agreement
from dspark_bench.engine.predictability import (
    agreement_by_kind,
    are_copies,
    continued,
    entropy,
    entropy_bins,
)
from dspark_bench.engine.teacher_forcing import ScoredBlocks
from tests import tiny


def test_entropy_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert torch.allclose(entropy(probs), torch.tensor([math.log(2), 0.0]))


def test_the_kinds_sum_to_the_agreement() -> None:
    target = tiny.target()
    drafter = tiny.drafter("semi_ar_vanilla")
    written = tuple(range(5, 17))
    sequences = [(request, written) for request in tiny.requests(2)]
    whole, anchors = measure_agreement(target, drafter, sequences, 3, SamplingParams())

    def split(*edges: float) -> tuple[Floats, Floats]:
        return agreement_by_kind(
            *(target, drafter, sequences, 3, SamplingParams()),
            *(lambda blocks: entropy_bins(blocks, edges), len(edges) + 1),
        )

    overlaps, counts = split(1.0, 2.5)
    assert np.allclose(overlaps.sum(2), whole)
    assert (counts.sum(2) == anchors[:, None]).all()
    everything_low, _ = split(100.0, 200.0)
    assert np.allclose(everything_low[..., 0], whole) and not everything_low[..., 1:].any()


def test_copies_by_hand() -> None:
    """After 7 8 came 9, later 5; a copy is a first choice that repeats the later one."""
    request = replace(tiny.requests(1)[0], prompt_tokens=(7, 8, 9))
    sequence = (request, (7, 8, 5, 7, 8, 2))
    assert continued(sequence) == [-1, -1, -1, -1, -1, 9, -1, -1, 5]
    assert continued((replace(request, prompt_tokens=(7,)), ())) == [-1]

    def says(*tokens: int) -> Tensor:
        return torch.nn.functional.one_hot(torch.tensor([tokens]), 10).float()

    for token, is_copy in ((5, True), (9, False)):
        probs = says(8, token)
        blocks = ScoredBlocks((0,), (6,), torch.tensor([[8, 2]]), probs, probs)
        assert are_copies(blocks, [sequence]).tolist() == [[False, is_copy]]
