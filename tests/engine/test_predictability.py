import math

import numpy as np
import torch

from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.agreement import measure_agreement
from dspark_bench.engine.predictability import agreement_by_entropy, entropy
from tests import tiny


def test_entropy_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert torch.allclose(entropy(probs), torch.tensor([math.log(2), 0.0]))


def test_the_bins_sum_to_the_agreement() -> None:
    target = tiny.target()
    drafter = tiny.drafter("semi_ar_vanilla")
    written = tuple(range(5, 17))
    sequences = [(request, written) for request in tiny.requests(2)]
    whole, anchors = measure_agreement(target, drafter, sequences, 3, SamplingParams())

    def split(*edges: float) -> tuple[Floats, Floats]:
        return agreement_by_entropy(target, drafter, sequences, 3, SamplingParams(), edges)

    overlaps, counts = split(1.0, 2.5)
    assert np.allclose(overlaps.sum(2), whole)
    assert (counts.sum(2) == anchors[:, None]).all()
    everything_low, _ = split(100.0, 200.0)
    assert np.allclose(everything_low[..., 0], whole) and not everything_low[..., 1:].any()
