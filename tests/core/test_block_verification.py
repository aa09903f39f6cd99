"""Block verification: the target's law over whole small vocabularies, and never behind `exact`."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dspark_bench.core.block_verification import (
    BlockChances,
    BlockLaws,
    block_chances,
    next_weights,
    verify_block,
)
from dspark_bench.core.sampling import reject_sampled

EMITTED = 3


def laws_of(seed: int, size: int, sharpness: float) -> tuple[Tensor, Tensor]:
    """Target and draft law [V, V] of the next token given the last; some draft masses are 0."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.rand(2, size, size, generator=generator).pow(sharpness)
    found[1, 0, size - 1] = 0.0
    found[0, 1, 0] = 0.0
    found /= found.sum(-1, keepdim=True)
    return found[0], found[1]


def along(target: Tensor, draft: Tensor, tokens: tuple[int, ...]) -> BlockLaws:
    """One request whose anchor is token 0."""
    before = [0, *tokens]
    return BlockLaws(
        target[before],
        torch.tensor([tokens]),
        draft[before[:-1]].unsqueeze(0),
        (len(tokens),),
    )


def drafts(draft: Tensor, gamma: int) -> list[tuple[tuple[int, ...], float]]:
    """Every chain behind token 0, and how likely it is drafted."""
    found = []
    for tokens in itertools.product(range(draft.shape[0]), repeat=gamma):
        chance = 1.0
        for before, token in zip((0, *tokens), tokens, strict=False):
            chance *= float(draft[before, token])
        if chance > 0:
            found.append((tokens, chance))
    return found


def chosen(chances: BlockChances, gamma: int) -> list[float]:
    """Probability of each number of accepted drafts, 0 to gamma."""
    stands = chances.stands[0].tolist()
    found, left = [0.0] * (gamma + 1), 1.0
    for count in range(gamma, 0, -1):
        found[count] = left * stands[count - 1]
        left -= found[count]
    found[0] = left
    return found


Judge = Callable[[BlockLaws, BlockChances, int], list[float]]


def as_it_is(laws: BlockLaws, chances: BlockChances, gamma: int) -> list[float]:
    return chosen(chances, gamma)


def emitted(
    target: Tensor,
    draft: Tensor,
    gamma: int,
    judge: Judge = as_it_is,
    weigh: Callable[..., Tensor] = next_weights,
) -> Tensor:
    """Joint law [V ** EMITTED] of what one cycle, and the target behind it, emit."""
    size = target.shape[0]
    result = torch.zeros((size,) * EMITTED, dtype=torch.float64)
    for tokens, chance in drafts(draft, gamma):
        laws = along(target, draft, tokens)
        chances = block_chances(laws)
        for count, share in enumerate(judge(laws, chances, gamma)):
            if share <= 0:
                continue
            weights = weigh(laws, chances.joint, [count])[0].double()
            for token, mass in enumerate((weights / weights.sum()).tolist()):
                spread(result, target, (*tokens[:count], token), chance * share * mass)
    return result.flatten()


def spread(result: Tensor, target: Tensor, tokens: tuple[int, ...], chance: float) -> None:
    """Add a text, cut or continued by the target to EMITTED tokens."""
    tokens = tokens[:EMITTED]
    tail = torch.tensor(chance, dtype=torch.float64)
    for step in range(EMITTED - len(tokens)):
        tail = tail.unsqueeze(-1) * (target.double() if step else target[tokens[-1]].double())
    result[tokens] += tail


def joint(target: Tensor) -> Tensor:
    result = torch.zeros((target.shape[0],) * EMITTED, dtype=torch.float64)
    for first in range(target.shape[0]):
        spread(result, target, (first,), float(target[0, first]))
    return result.flatten()


CASES = [(0, 2, 3), (1, 2, 4), (2, 3, 2), (3, 3, 2), (4, 4, 2), (1, 3, 3)]


@pytest.mark.parametrize(("seed", "size", "gamma"), CASES)
def test_one_cycle_emits_the_targets_law(seed: int, size: int, gamma: int) -> None:
    target, draft = laws_of(seed, size, 1.0 + seed)
    torch.testing.assert_close(emitted(target, draft, gamma), joint(target), atol=1e-6, rtol=0)


def one_by_one(laws: BlockLaws, gamma: int) -> list[float]:
    """Accepted lengths of rejection sampling, draft by draft."""
    found, left = [], 1.0
    tokens = laws.draft_tokens[0].tolist()
    for slot, token in enumerate(tokens):
        assert laws.draft_probs is not None
        ratio = float(laws.target_probs[slot, token] / laws.draft_probs[0, slot, token])
        found.append(left * (1 - min(1.0, ratio)))
        left *= min(1.0, ratio)
    return [*found, left]


@pytest.mark.parametrize(("seed", "size", "gamma"), CASES)
def test_it_accepts_at_least_as_many_as_draft_by_draft(seed: int, size: int, gamma: int) -> None:
    target, draft = laws_of(seed, size, 1.0 + seed)
    block = single = 0.0
    for tokens, chance in drafts(draft, gamma):
        laws = along(target, draft, tokens)
        block += chance * mean(chosen(block_chances(laws), gamma))
        single += chance * mean(one_by_one(laws, gamma))
    assert block >= single - 1e-6


def mean(shares: list[float]) -> float:
    return sum(count * share for count, share in enumerate(shares))


def test_a_case_by_hand() -> None:
    """The paper's example: target 1/3 and 2/3, draft 2/3 and 1/3, whatever stands before."""
    target = torch.tensor([[1 / 3, 2 / 3]] * 2)
    draft = torch.tensor([[2 / 3, 1 / 3]] * 2)
    first = block_chances(along(target, draft, (0, 1)))
    torch.testing.assert_close(first.joint, torch.tensor([[1, 0.5, 1.0]]).double())
    torch.testing.assert_close(first.stands, torch.tensor([[0.0, 1.0]]).double())
    other = block_chances(along(target, draft, (1, 0)))
    torch.testing.assert_close(other.joint, torch.tensor([[1, 1, 0.5]]).double())
    torch.testing.assert_close(other.stands, torch.tensor([[1.0, 0.5]]).double())
    both = [
        sum(
            chance * mean(judge(along(target, draft, tokens)))
            for tokens, chance in drafts(draft, 2)
        )
        for judge in (lambda laws: chosen(block_chances(laws), 2), lambda laws: one_by_one(laws, 2))
    ]
    assert both == pytest.approx([11 / 9, 10 / 9], abs=1e-6)


def test_expected_is_the_chance_of_a_draft_behind_those_that_stand() -> None:
    """Averaged over the drafts, joint[k] expected[k] is what joint[k + 1] is on average."""
    target, draft = laws_of(2, 3, 2.0)
    said, found = [0.0] * 3, [0.0] * 3
    for tokens, chance in drafts(draft, 3):
        chances = block_chances(along(target, draft, tokens))
        for slot in range(3):
            said[slot] += chance * float(chances.joint[0, slot] * chances.expected[0, slot])
            found[slot] += chance * float(chances.joint[0, slot + 1])
    assert said == pytest.approx(found, abs=1e-6)


def test_certain_drafts_are_those_of_a_law_on_one_token() -> None:
    target, _ = laws_of(1, 3, 1.0)
    for tokens in itertools.product(range(3), repeat=3):
        before = [0, *tokens]
        spelt = torch.nn.functional.one_hot(torch.tensor([tokens]), 3).float()
        lens = (3,)
        whole = BlockLaws(target[before], torch.tensor([tokens]), spelt, lens)
        short = BlockLaws(target[before], torch.tensor([tokens]), None, lens)
        one, other = block_chances(whole), block_chances(short)
        torch.testing.assert_close(one.joint, other.joint)
        torch.testing.assert_close(one.stands, other.stands, atol=1e-6, rtol=0)
        for count in range(4):
            if count == 0 or float(one.stands[0, count - 1]) > 0:
                pair = [next_weights(laws, one.joint, [count])[0] for laws in (whole, short)]
                first, second = (weights / weights.sum() for weights in pair)
                torch.testing.assert_close(first, second, atol=1e-6, rtol=0)


def test_requests_of_unequal_length_are_judged_as_alone() -> None:
    target, draft = laws_of(3, 3, 1.0)
    chains = [(1, 2, 0), (0, 1, 1), (2, 0, 1)]
    lens = (3, 1, 0)
    rows, probs = [], []
    for tokens, length in zip(chains, lens, strict=True):
        before = [0, *tokens]
        rows.append(target[before[: length + 1]])
        probs.append(draft[before[:-1]])
    laws = BlockLaws(torch.cat(rows), torch.tensor(chains), torch.stack(probs), lens)
    chances = block_chances(laws)
    generator = torch.Generator().manual_seed(0)
    accept = torch.rand(3, 3, generator=generator, dtype=torch.float64) / 2
    emit = torch.rand(3, generator=generator, dtype=torch.float64)
    together = verify_block(laws, chances, accept, emit)
    for place, (tokens, length) in enumerate(zip(chains, lens, strict=True)):
        alone = along(target, draft, tokens[:length]) if length else None
        if alone is None:
            assert (together.num_accepted[place], together.is_rejected[place]) == (0, False)
            continue
        own = block_chances(alone)
        verdict = verify_block(alone, own, accept[place : place + 1], emit[place : place + 1])
        assert together.num_accepted[place] == verdict.num_accepted[0]
        assert together.bonus[place] == verdict.bonus[0]
        assert torch.equal(chances.stands[place, :length], own.stands[0])
        assert not chances.stands[place, length:].any()
    assert together.is_rejected == [n < m for n, m in zip(together.num_accepted, lens, strict=True)]


def test_a_block_of_one_is_rejection_sampling() -> None:
    target, draft = laws_of(0, 3, 1.0)
    generator = torch.Generator().manual_seed(1)
    accept = torch.rand(200, 1, generator=generator, dtype=torch.float64)
    emit = torch.rand(200, generator=generator, dtype=torch.float64)
    tokens = torch.multinomial(draft[0], 200, replacement=True, generator=generator).unsqueeze(1)
    rows = torch.stack([torch.stack([target[0], target[t]]) for t in tokens[:, 0]]).flatten(0, 1)
    probs = draft[0].expand(200, 1, 3)
    laws = BlockLaws(rows, tokens, probs, (1,) * 200)
    one = verify_block(laws, block_chances(laws), accept, emit)
    assert one == reject_sampled(rows, probs, tokens, (1,) * 200, accept, emit)


def test_a_drafter_that_is_the_target_is_always_believed() -> None:
    target, _ = laws_of(0, 3, 1.0)
    for tokens, _ in drafts(target, 3):
        chances = block_chances(along(target, target, tokens))
        assert chances.stands.tolist() == [[1.0, 1.0, 1.0]]


def missing_min(laws: BlockLaws, chances: BlockChances, gamma: int) -> list[float]:
    """The whole block's chance without a reserve from earlier places."""
    ratios = [
        float(laws.target_probs[k, t] / laws.draft_probs[0, k, t])
        for k, t in enumerate(laws.draft_tokens[0].tolist())
    ]
    product = 1.0
    for ratio in ratios:
        product *= ratio
    stands = chances.stands.clone()
    stands[0, -1] = min(1.0, product)
    return chosen(BlockChances(chances.joint, stands, chances.expected), gamma)


def one_place_off(laws: BlockLaws, chances: BlockChances, gamma: int) -> list[float]:
    """Each place has the chance of the one before."""
    stands = torch.cat([chances.joint[:, 1:2], chances.stands[:, :-1]], dim=1)
    return chosen(BlockChances(chances.joint, stands, chances.expected), gamma)


@pytest.mark.parametrize("biased", [missing_min, one_place_off])
def test_the_law_shows_a_biased_rule(biased: Judge) -> None:
    target, draft = laws_of(1, 3, 2.0)
    assert (emitted(target, draft, 3, biased) - joint(target)).abs().max() > 1e-4


def residual_of_one_draft(laws: BlockLaws, joint: Tensor, counts: list[int]) -> Tensor:
    """As if every prefix stood for certain."""
    return next_weights(laws, torch.ones_like(joint), counts)


def test_the_law_shows_a_wrong_residual() -> None:
    target, draft = laws_of(4, 5, 1.0)
    found = emitted(target, draft, 2, weigh=residual_of_one_draft)
    assert (found - joint(target)).abs().max() > 1e-4
