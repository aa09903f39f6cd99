"""What follows a prefix in a tree is what follows it in a chain, whatever else the tree holds."""

import pytest
import torch
from torch import Tensor

from dspark_bench.core.types import DraftBatch, SamplingParams
from tests import tiny

PREFIXES = torch.tensor([[7, 30, 2], [41, 30, 2], [7, 12, 60]])
DEPTH = 3


def batch(size: int, temperature: float = 0.7, forced: Tensor | None = None) -> DraftBatch:
    return DraftBatch(
        rows=tuple(range(size)),
        context_lens=(0,) * size,
        anchors=torch.full((size,), 5),
        draft_lens=(DEPTH,) * size,
        sampling=SamplingParams(temperature, top_k=20),
        uniform=torch.zeros(size, DEPTH, dtype=torch.float64),
        forced=forced,
    )


def along_prefixes(name: str, temperature: float = 0.7) -> Tensor:
    """[3, K, V]: what follows each of the prefixes, expanded in one tree, level by level."""
    drafter = tiny.drafter(name)
    drafter.allocate(1, 16)
    with torch.inference_mode():
        branches = drafter.branch(batch(1, temperature))
        zeros = torch.zeros(3, dtype=torch.long)
        first = branches.expand(zeros[:1], torch.tensor([5]), None).expand(3, -1)
        # the second row of the second call belongs to the second prefix, and so on
        order = torch.tensor([2, 0, 1])
        second = branches.expand(zeros, PREFIXES[order, 0], zeros)
        third = branches.expand(zeros, PREFIXES[:, 1], order.argsort())
    return torch.stack([first, second[order.argsort()], third], dim=1)


KINDS = ["parallel", "jetspec", "semi_ar_vanilla", "semi_ar_gated", "semi_ar_rnn"]


@pytest.mark.parametrize("name", [*KINDS, *tiny.HEAD_DRAFTERS])
def test_a_branch_has_the_law_of_its_prefix_as_a_chain(name: str) -> None:
    drafter = tiny.drafter(name)
    drafter.allocate(3, 16)
    with torch.inference_mode():
        chain = drafter.propose(batch(3, forced=PREFIXES)).probs
    torch.testing.assert_close(along_prefixes(name), chain, atol=1e-6, rtol=1e-5)


def test_marginals_do_not_know_their_branch_and_conditionals_do() -> None:
    for name in ("parallel", "medusa"):
        marginal = along_prefixes(name)
        assert torch.equal(marginal[0], marginal[1]) and torch.equal(marginal[0], marginal[2])
    for name in ("semi_ar_vanilla", "semi_ar_gated", "semi_ar_rnn", "hydra"):
        conditional = along_prefixes(name)
        assert not torch.allclose(conditional[0, 1], conditional[1, 1])
    # only the recurrent head, and Hydra's, remember what came before the last token
    memory = [along_prefixes(name)[:2, 2] for name in ("semi_ar_vanilla", "semi_ar_rnn", "hydra")]
    assert torch.allclose(*memory[0])
    assert not torch.allclose(*memory[1]) and not torch.allclose(*memory[2])


def test_without_draws_a_branch_is_ranked_by_the_plain_law() -> None:
    greedy = along_prefixes("semi_ar_vanilla", 0.0)
    assert torch.all(greedy.sum(-1) > 0.999) and torch.all(greedy > 0)
