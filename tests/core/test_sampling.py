import pytest
import torch

from dspark_bench.core.sampling import (
    overlap,
    reject_greedy,
    reject_sampled,
    sample,
    token_probs,
)
from dspark_bench.core.types import SamplingParams

P = torch.tensor([[0.7, 0.3, 0.0]])
Q = torch.tensor([[0.2, 0.3, 0.5]])


def uniform(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_inverse_cdf_by_hand() -> None:
    probs = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).expand(6, -1)
    drawn = sample(probs, uniform(0.0, 0.2499, 0.25, 0.74, 0.76, 1 - 2**-52))
    assert drawn.tolist() == [0, 0, 2, 2, 3, 3]


def test_tokens_without_mass_are_never_drawn() -> None:
    probs = torch.tensor([[0.0, 1e-30, 0.0]])
    edges = uniform(0.0, 0.5, 1 - 2**-52)
    assert sample(probs.expand(3, -1), edges).tolist() == [1, 1, 1]


def test_weights_need_not_sum_to_one() -> None:
    assert sample(torch.tensor([[2.0, 6.0]]).expand(2, -1), uniform(0.24, 0.26)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (SamplingParams(1.0), [0.5, 0.25, 0.125, 0.125]),
        (SamplingParams(0.5), [16 / 22, 4 / 22, 1 / 22, 1 / 22]),
        (SamplingParams(1.0, top_k=2), [2 / 3, 1 / 3, 0, 0]),
        (SamplingParams(1.0, top_p=0.5), [1.0, 0.0, 0.0, 0.0]),
        (SamplingParams(1.0, top_p=0.6), [2 / 3, 1 / 3, 0, 0]),
        (SamplingParams(1.0, top_k=3, top_p=0.8), [2 / 3, 1 / 3, 0, 0]),
    ],
)
def test_filters_by_hand(params: SamplingParams, expected: list[float]) -> None:
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    assert torch.allclose(token_probs(logits, params), torch.tensor(expected), atol=1e-6)


def test_equal_logits_at_the_edge_of_top_k_keep_exactly_k() -> None:
    probs = token_probs(torch.zeros(1, 5), SamplingParams(1.0, top_k=2))
    assert (probs > 0).sum() == 2


def judge(draft: int, u: float, emit: float, length: int = 1) -> tuple[int, bool, int]:
    verdict = reject_sampled(
        P.expand(1 + length, -1),
        Q.unsqueeze(1),
        torch.tensor([[draft]]),
        [length],
        uniform(u).unsqueeze(0),
        uniform(emit),
    )
    return verdict.num_accepted[0], verdict.is_rejected[0], verdict.bonus[0]


def test_rejection_by_hand() -> None:
    assert judge(0, 0.999, 0.0) == (1, False, 0)  # 0.7 / 0.2 > 1: always accepted
    assert judge(2, 0.0, 0.99) == (0, True, 0)  # target gives it nothing; residual is all on 0
    assert judge(1, 0.999, 0.8) == (1, False, 1)  # equal probabilities: accepted, bonus from P


def test_an_unverified_draft_is_neither_accepted_nor_rejected() -> None:
    assert judge(0, 0.0, 0.5, length=0) == (0, False, 0)
    assert judge(2, 0.0, 0.75, length=0) == (0, False, 1)


def test_emitted_law_is_the_targets_own() -> None:
    n = 200_000
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(3, n, generator=generator, dtype=torch.float64)
    drafts = sample(Q.expand(n, -1), u[0]).unsqueeze(1)
    verdict = reject_sampled(
        P.expand(2 * n, 3),
        Q.expand(n, 1, 3),
        drafts,
        [1] * n,
        u[1].unsqueeze(1),
        u[2],
    )
    accepted = torch.tensor(verdict.num_accepted)
    first = torch.where(accepted == 1, drafts[:, 0], torch.tensor(verdict.bonus))
    frequency = first.bincount(minlength=3) / n
    assert torch.allclose(frequency, P[0], atol=4 * 0.46 / n**0.5)
    share = float(accepted.float().mean())
    assert share == pytest.approx(float(overlap(P, Q)), abs=4 * 0.5 / n**0.5)


def test_ragged_rows_are_judged_by_their_own_request() -> None:
    """Three requests with 2, 0 and 1 verified drafts: six rows, read in order."""
    sure = torch.eye(4)
    rows = sure[[1, 2, 3, 0, 2, 1]]
    drafts = torch.tensor([[1, 3], [0, 0], [2, 0]])
    verdict = reject_sampled(
        rows,
        torch.full((3, 2, 4), 0.25),
        drafts,
        [2, 0, 1],
        torch.full((3, 2), 0.5, dtype=torch.float64),
        uniform(0.5, 0.5, 0.5),
    )
    assert verdict.num_accepted == [1, 0, 1]
    assert verdict.is_rejected == [True, False, False]
    assert verdict.bonus == [2, 0, 1]


def test_greedy_prefix_by_hand() -> None:
    target = [[5, 6, 7], [5, 6, 7], [5, 6, 7]]
    verdict = reject_greedy(target, [[5, 6], [5, 9], [5, 6]], [2, 2, 1])
    assert verdict.num_accepted == [2, 1, 1]
    assert verdict.is_rejected == [False, True, False]
    assert verdict.bonus == [7, 6, 6]


def test_an_empty_residual_falls_back_to_the_target() -> None:
    """Rounding can refuse a draft where both laws are equal: the target's law is then meant."""
    same = torch.tensor([[[0.25, 0.75]]])
    verdict = reject_sampled(
        same[0].expand(2, -1),
        same,
        torch.tensor([[0]]),
        [1],
        uniform(1.0).unsqueeze(0),
        uniform(0.3),
    )
    assert (verdict.is_rejected, verdict.bonus) == ([True], [1])


def test_overlap_by_hand() -> None:
    assert float(overlap(P, Q)) == pytest.approx(0.2 + 0.3)
