"""Multi-round verification: the target's law over every tree that can be drawn, and by hand."""

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from dspark_bench.core.multi_round import DrawnTrees, judge_rounds, left_over, stand_chance
from dspark_bench.core.sampling import Verdict

WIDTHS = (3, 2)
Rest = Callable[[Tensor, Tensor], Tensor]


def laws_of(seed: int, size: int) -> tuple[Tensor, Tensor]:
    """Target and draft law [V, V] of the next token given the last; one draft mass is 0."""
    found = torch.rand(2, size, size, generator=torch.Generator().manual_seed(seed)).pow(2)
    found[1, 0, 1] = 0.0
    found /= found.sum(-1, keepdim=True)
    return found[0], found[1]


def siblings(law: Tensor, width: int, replaces: bool) -> Iterator[tuple[list[int], Tensor, float]]:
    """Every way to draw `width` children: tokens, what each was drawn from, and the chance."""
    width = width if replaces else min(width, int((law > 0).sum()))
    for tokens in itertools.product(range(len(law)), repeat=width):
        rest, chance, laws = law, 1.0, []
        for token in tokens:
            own = rest / rest.sum() if float(rest.sum()) > 0 else rest
            laws.append(own)
            chance *= float(own[token])
            if not replaces:
                rest = rest.clone()
                rest[token] = 0.0
        if chance > 0:
            yield list(tokens), torch.stack(laws), chance


def emitted(
    target: Tensor, draft: Tensor, last: int, depth: int, replaces: bool, rest: Rest = left_over
) -> Tensor:
    """Joint law [V, V] of two tokens behind `last`, all draws and refusals weighed by chance."""
    size = len(target)
    result = torch.zeros(size, size, dtype=torch.float64)
    behind = target.double()
    for tokens, laws, chance in siblings(draft[last], WIDTHS[depth], replaces):
        law, left = target[last : last + 1], chance
        for token, own in zip(tokens, laws, strict=True):
            stands = float(stand_chance(law, own.unsqueeze(0), torch.tensor([token])))
            if depth + 1 < len(WIDTHS):
                below = emitted(target, draft, token, depth + 1, replaces, rest).sum(1)
            else:
                below = behind[token]
            result[token] += left * stands * below
            left *= 1 - stands
            if left <= 0:
                break
            law = rest(law, own.unsqueeze(0))
        result += left * law[0].double().unsqueeze(1) * behind
    return result


def joint(target: Tensor) -> Tensor:
    return target[0].double().unsqueeze(1) * target.double()


@pytest.mark.parametrize("replaces", [True, False])
@pytest.mark.parametrize(("seed", "size"), [(0, 2), (1, 3), (2, 4)])
def test_over_all_trees_the_law_is_the_targets(seed: int, size: int, replaces: bool) -> None:
    target, draft = laws_of(seed, size)
    found = emitted(target, draft, 0, 0, replaces)
    torch.testing.assert_close(found, joint(target), atol=1e-6, rtol=0)


def unchanged(law: Tensor, drawn_from: Tensor) -> Tensor:
    """Later siblings are judged by the target's law as it was."""
    return law


def without_the_token(law: Tensor, drawn_from: Tensor) -> Tensor:
    """What is left where a draft is certain: not where it was drawn."""
    rest = law.clone()
    rest[0, drawn_from[0].argmax()] = 0.0
    return rest / rest.sum()


@pytest.mark.parametrize("biased", [unchanged, without_the_token])
def test_the_law_shows_a_wrong_residual(biased: Rest) -> None:
    target, draft = laws_of(1, 3)
    found = emitted(target, draft, 0, 0, True, biased)
    assert (found - joint(target)).abs().max() > 1e-3


def test_the_law_shows_siblings_that_are_said_to_be_drawn_with_replacement() -> None:
    """Drawn without, judged by the distribution of the first: biased."""
    target, draft = laws_of(1, 3)
    found = torch.zeros(3, dtype=torch.float64)
    for tokens, _, chance in siblings(draft[0], 2, False):
        law, left = target[:1], chance
        for token in tokens:
            stands = float(stand_chance(law, draft[:1], torch.tensor([token])))
            found[token] += left * stands
            left *= 1 - stands
            if left > 0:
                law = left_over(law, draft[:1])
        found += left * law[0].double()
    assert (found - target[0].double()).abs().max() > 1e-3


def test_residuals_by_hand() -> None:
    law = torch.tensor([[0.5, 0.3, 0.2]])
    first = torch.tensor([[0.2, 0.7, 0.1]])
    assert float(stand_chance(law, first, torch.tensor([1]))) == pytest.approx(3 / 7)
    assert float(stand_chance(law, first, torch.tensor([0]))) == 1
    left = left_over(law, first)
    torch.testing.assert_close(left, torch.tensor([[0.75, 0.0, 0.25]]))
    second = torch.tensor([[2 / 3, 0.0, 1 / 3]])
    assert float(stand_chance(left, second, torch.tensor([2]))) == pytest.approx(0.75)
    torch.testing.assert_close(left_over(left, second), torch.tensor([[1.0, 0.0, 0.0]]))


def test_what_was_drawn_from_may_know_fewer_tokens() -> None:
    law, short = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.2, 0.8]])
    torch.testing.assert_close(left_over(law, short), torch.tensor([[0.6, 0.0, 0.4]]))
    same = torch.tensor([[0.5, 0.5]])
    torch.testing.assert_close(left_over(same, same), same)


def test_a_walk_by_hand() -> None:
    """At the anchor 1 is refused and 2 stands; behind it 0 is refused; another request alone."""
    rows = torch.tensor(
        [
            *([0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.1, 0.6, 0.3], [0.0, 0.0, 1.0]),
            *([0.0, 1.0, 0.0], [0.2, 0.0, 0.8]),
        ]
    )
    first = [[0.2, 0.7, 0.1], [2 / 3, 0.0, 1 / 3], [0.5, 0.25, 0.25]]
    probs = torch.tensor([first, [[0.0, 1.0, 0.0], *[[0.0] * 3] * 2]])
    trees = DrawnTrees(torch.tensor([[1, 2, 0], [1, 0, 0]]), probs, [(-1, -1, 1), (-1,)])
    emit = torch.tensor([0.5, 0.1], dtype=torch.float64)

    def judged(*accept: float) -> Verdict:
        numbers = torch.tensor([accept, (0.99, 0, 0)], dtype=torch.float64)
        return judge_rounds(rows, trees, numbers, emit)

    assert judged(0.42, 0.9, 0.9) == Verdict([1, 1], [False, False], [0, 0], [[0], [0]])
    assert judged(0.44, 0.74, 0.19) == Verdict([2, 1], [False, False], [2, 0], [[1, 2], [0]])
    assert judged(0.44, 0.74, 0.21) == Verdict([1, 1], [True, False], [1, 0], [[1], [0]])
    assert judged(0.44, 0.76, 0.0) == Verdict([0, 1], [True, False], [0, 0], [[], [0]])


def test_no_nodes_leave_the_targets_draw() -> None:
    trees = DrawnTrees(torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, 2), [()])
    rows, half = torch.tensor([[0.2, 0.8]]), torch.tensor([0.5], dtype=torch.float64)
    assert judge_rounds(rows, trees, half.unsqueeze(1), half) == Verdict([0], [False], [1], [[]])
