import pytest
import torch

from dspark_bench.core.sampling import (
    overlap,
    overlap_certain,
    reject_certain,
    reject_greedy,
    reject_recorded,
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


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        (SamplingParams(2.0, top_p=0.6), [0.5, 0.25, 0, 0]),
        (SamplingParams(0.5, top_p=0.75), [0.5, 0.25, 0, 0]),
        (SamplingParams(0.5, top_p=0.7), [0.5, 0, 0, 0]),
        (SamplingParams(2.0, top_k=2, top_p=0.6), [0.5, 0.25, 0, 0]),
        (SamplingParams(0.7, top_k=9), [0.5, 0.25, 0.125, 0.125]),
    ],
)
def test_filters_look_at_the_law_at_its_temperature(
    params: SamplingParams, kept: list[float]
) -> None:
    """At 2 the first two hold 0.37 and 0.26 of it; at 1/2 they hold 0.73 and 0.18."""
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    weights = torch.tensor(kept, dtype=torch.float64) ** (1 / params.temperature)
    found = token_probs(logits, params)
    assert torch.allclose(found.double(), weights / weights.sum(), atol=1e-6)


def test_a_filtered_law_is_one_for_every_shape() -> None:
    """Rows of their own in a table of two axes, unsorted."""
    logits = torch.tensor([[[0.1, 2.0, 1.0], [3.0, 0.0, 2.9]], [[0.0, 0.0, 5.0], [1.0, 4.0, 2.0]]])
    for params in (SamplingParams(0.6, 2, 0.9), SamplingParams(1.0, 0, 0.5), SamplingParams(2.0)):
        whole = token_probs(logits, params)
        assert torch.allclose(whole.sum(-1), torch.ones(2, 2))
        alone = torch.stack([token_probs(row, params) for row in logits.flatten(0, 1)])
        assert torch.allclose(whole.flatten(0, 1), alone)


def refusals(u: list[list[float]], emit: float) -> tuple[list[int], list[bool], list[int]]:
    """Three requests with two drafts each; the drafter's law differs from slot to slot.

    The target gives 0.5, 0.3 and 0.2 everywhere; the drafter all to 0, 1 and 2 by turns.
    """
    sure = torch.eye(3)
    verdict = reject_sampled(
        torch.tensor([[0.5, 0.3, 0.2]]).expand(9, -1),
        torch.stack([sure[[0, 1]], sure[[1, 2]], sure[[2, 0]]]),
        torch.tensor([[0, 1], [1, 2], [2, 0]]),
        [2, 2, 2],
        torch.tensor(u, dtype=torch.float64),
        uniform(emit, emit, emit),
    )
    return verdict.num_accepted, verdict.is_rejected, verdict.bonus


def test_the_residual_is_of_the_slot_that_was_refused() -> None:
    """Request 0 is refused at its second slot, where the drafter said 1: 0 or 2 are left, 5 to 2.

    Request 1 is refused at its first slot, where it said 1; request 2 is accepted whole, so that
    its next token is drawn from the target's own law.
    """
    u = [[0.4, 0.9], [0.9, 0.0], [0.1, 0.4]]
    for emit, bonus in ((0.6, [0, 0, 1]), (0.72, [2, 2, 1]), (0.85, [2, 2, 2])):
        assert refusals(u, emit) == ([1, 0, 2], [True, True, False], bonus)


def test_a_draft_is_accepted_by_the_ratio_of_the_two_laws() -> None:
    """The drafter is sure of 0, 1 and 2, to which the target gives 0.5, 0.3 and 0.2."""
    for u, accepted in ((0.19, [1, 1, 1]), (0.21, [1, 1, 0]), (0.31, [1, 0, 0]), (0.51, [0] * 3)):
        found, _, _ = refusals([[u, 0.99]] * 3, 0.5)
        assert found == accepted


def test_along_a_record_a_token_stands_by_the_drafters_share_of_it() -> None:
    """The target gave 0.5 to the recorded token; the drafter 0.2, so that two in five stand."""
    target = torch.tensor([[0.5, 0.3, 0.2]]).expand(4, -1)
    for share, u, accepted in ((0.2, 0.39, 1), (0.2, 0.41, 0), (0.9, 0.999, 1)):
        law = torch.tensor([[[share, 1 - share, 0.0]], [[share, 1 - share, 0.0]]])
        verdict = reject_recorded(
            target, law, torch.tensor([[0, 2], [0, 1]]), [1, 1], torch.full((2, 1), u).double()
        )
        assert verdict.num_accepted == [accepted] * 2
        assert verdict.bonus == ([2, 1] if accepted else [0, 0])


@pytest.mark.parametrize(
    ("u", "emit", "expected"),
    [
        (0.29, 0.99, (1, False, 2)),
        (0.31, 0.69, (0, True, 0)),
        (0.31, 0.72, (0, True, 2)),
        (0.31, 1 - 2**-52, (0, True, 2)),
    ],
    ids=["accepted, then the target", "refused: 0.5 of 0.7", "refused: 0.2 of 0.7", "the last"],
)
def test_a_certain_draft_stands_with_the_targets_probability(
    u: float, emit: float, expected: tuple[int, bool, int]
) -> None:
    """Target 0.5, 0.3, 0.2, the draft is token 1; behind it the target says token 2."""
    target = torch.tensor([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])
    found = reject_certain(target, torch.tensor([[1]]), [1], uniform(u).view(1, 1), uniform(emit))
    assert (found.num_accepted[0], found.is_rejected[0], found.bonus[0]) == expected


def test_a_certain_draft_is_one_of_a_law_on_one_token() -> None:
    """Ragged requests, random laws: the verdicts are those of one-hot draft probabilities."""
    generator = torch.Generator().manual_seed(0)
    lens = [3, 0, 1, 2]
    for _ in range(200):
        target = torch.rand(10, 5, generator=generator).softmax(-1)
        tokens = torch.randint(0, 5, (4, 3), generator=generator)
        accept = torch.rand(4, 3, generator=generator, dtype=torch.float64)
        emit = torch.rand(4, generator=generator, dtype=torch.float64)
        one_hot = torch.nn.functional.one_hot(tokens, 5).float()
        expected = reject_sampled(target, one_hot, tokens, lens, accept, emit)
        assert reject_certain(target, tokens, lens, accept, emit) == expected


def test_a_certain_draft_outside_the_target_never_stands_nor_follows() -> None:
    target = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    for emit in (0.0, 0.5, 1 - 2**-52):
        draws = uniform(0.0).view(1, 1), uniform(emit)
        found = reject_certain(target, torch.tensor([[0]]), [1], *draws)
        assert (found.num_accepted, found.is_rejected, found.bonus) == ([0], [True], [1])
        found = reject_certain(
            target, torch.tensor([[1]]), [1], uniform(1 - 2**-53).view(1, 1), draws[1]
        )
        assert (found.num_accepted, found.bonus) == ([1], [0])


def test_overlap_of_a_certain_draft_is_that_of_its_law() -> None:
    target = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    tokens = torch.tensor([1, 2])
    one_hot = torch.nn.functional.one_hot(tokens, 3).float()
    assert overlap_certain(target, tokens).tolist() == pytest.approx([0.3, 0.8])
    assert torch.equal(overlap_certain(target, tokens), overlap(target, one_hot))
