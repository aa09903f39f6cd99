"""Tree policies on laws small enough to look at every prefix."""

import itertools
import re
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import DraftTree
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.trees.prefixes import _above, _above_on_device
from dspark_bench.trees.static import StaticTree


class Law:
    """Branches of stated distributions [V] behind every prefix, which it knows by its calls."""

    def __init__(self, behind: dict[tuple[int, ...], list[float]], size: int, anchors: int) -> None:
        self.num_choices = size
        self._behind = behind
        self._prefixes: list[tuple[int, ...]] = [()] * anchors

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        if origins is not None:
            pairs = zip(origins.tolist(), previous.tolist(), strict=True)
            self._prefixes = [(*self._prefixes[row], token) for row, token in pairs]
        return torch.tensor([self._behind[prefix] for prefix in self._prefixes])

    def token_ids(self, choices: Tensor) -> Tensor:
        return choices


def random_law(seed: int, size: int, depth: int) -> dict[tuple[int, ...], list[float]]:
    generator = torch.Generator().manual_seed(seed)
    prefixes = [p for n in range(depth) for p in itertools.product(range(size), repeat=n)]
    laws = torch.rand(len(prefixes), size, generator=generator).pow(2)
    laws /= laws.sum(1, keepdim=True)
    return dict(zip(prefixes, laws.tolist(), strict=True))


def worth(law: dict[tuple[int, ...], list[float]], prefix: tuple[int, ...]) -> float:
    found = 1.0
    for place, token in enumerate(prefix):
        found *= law[prefix[:place]][token]
    return found


def prefixes_of(tree: DraftTree) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for token, parent in zip(tree.token_ids, tree.parents, strict=True):
        found.append((*(found[parent] if parent >= 0 else ()), token))
    return found


@pytest.mark.parametrize("num_nodes", [1, 2, 5, 9, 17, 39, 60])
@pytest.mark.parametrize("seed", range(4))
def test_best_first_is_the_best_of_all_trees(num_nodes: int, seed: int) -> None:
    law = random_law(seed, 3, 3)
    [tree] = BestFirstTree(num_nodes).grow(Law(law, 3, 1), torch.tensor([7]), 3)
    every = [p for n in (1, 2, 3) for p in itertools.product(range(3), repeat=n)]
    ranked = sorted(every, key=lambda prefix: -worth(law, prefix))
    assert prefixes_of(tree) == ranked[:num_nodes]
    assert all(parent < node for node, parent in enumerate(tree.parents))


def test_no_closed_set_of_prefixes_is_worth_more() -> None:
    law = random_law(9, 2, 3)
    every = [p for n in (1, 2, 3) for p in itertools.product(range(2), repeat=n)]
    [tree] = BestFirstTree(5).grow(Law(law, 2, 1), torch.tensor([7]), 3)
    own = sum(worth(law, prefix) for prefix in prefixes_of(tree))
    closed = [
        chosen
        for chosen in itertools.combinations(every, 5)
        if all(len(prefix) == 1 or prefix[:-1] in chosen for prefix in chosen)
    ]
    best = max(sum(worth(law, prefix) for prefix in chosen) for chosen in closed)
    assert own == pytest.approx(best)


def test_best_first_by_hand() -> None:
    law = {(): [0.6, 0.3, 0.1], (0,): [0.2, 0.7, 0.1], (1,): [0.95, 0.05, 0.0]}
    law[(2,)] = [1.0, 0.0, 0.0]
    [tree] = BestFirstTree(4).grow(Law(law, 3, 1), torch.tensor([7]), 2)
    # 0.6, 0.6 * 0.7 = 0.42, 0.3, 0.3 * 0.95 = 0.285
    assert tree == DraftTree((0, 1, 1, 0), (-1, 0, -1, 2))


def test_what_cannot_be_drafted_is_no_node() -> None:
    law = {(): [1.0, 0.0], (0,): [0.0, 1.0]}
    [tree] = BestFirstTree(9).grow(Law(law, 2, 1), torch.tensor([7]), 2)
    assert tree == DraftTree((0, 1), (-1, 0))


class Both(Law):
    """Two requests of different laws."""

    def __init__(self, laws: Sequence[dict[tuple[int, ...], list[float]]], size: int) -> None:
        super().__init__({}, size, 2)
        self._laws = laws

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        if origins is not None:
            pairs = zip(origins.tolist(), previous.tolist(), strict=True)
            self._prefixes = [(*self._prefixes[row], token) for row, token in pairs]
        rows = zip(requests.tolist(), self._prefixes, strict=True)
        return torch.tensor([self._laws[request][prefix] for request, prefix in rows])


def test_requests_grow_apart() -> None:
    laws = [random_law(seed, 3, 3) for seed in (1, 2)]
    alone = [BestFirstTree(14).grow(Law(law, 3, 1), torch.tensor([7]), 3)[0] for law in laws]
    assert BestFirstTree(14).grow(Both(laws, 3), torch.tensor([7, 7]), 3) == alone
    shape = StaticTree([[1], [0], [1, 0], [0, 2], [0, 2, 1], [1, 0, 0]])
    alone = [shape.grow(Law(law, 3, 1), torch.tensor([7]), 3)[0] for law in laws]
    assert shape.grow(Both(laws, 3), torch.tensor([7, 7]), 3) == alone


def test_a_fixed_shape_by_hand() -> None:
    law = {
        (): [0.6, 0.3, 0.1],
        (0,): [0.2, 0.7, 0.1],
        (1,): [0.9, 0.04, 0.06],
        (0, 1): [0.5, 0.2, 0.3],
        (1, 2): [0.1, 0.3, 0.6],
    }
    shape = StaticTree([[1, 1, 0], [0], [1], [0, 0], [0, 0, 2], [1, 1], [0, 2]])
    [tree] = shape.grow(Law(law, 3, 1), torch.tensor([7]), 3)
    # paths by length: [0] [1] [0,0] [0,2] [1,1] [0,0,2] [1,1,0]
    assert tree == DraftTree((0, 1, 1, 2, 2, 1, 2), (-1, -1, 0, 0, 1, 2, 4))
    assert (shape.spec.num_nodes, shape.spec.depth, shape.spec.num_choices) == (7, 3, 3)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "tree.paths is []; valid: a list of paths such as [[0],[1],[0,0]]"),
        ("wide", "tree.paths is 'wide'"),
        ([0, 1], "tree.paths holds 0"),
        ([[0], []], "tree.paths holds []"),
        ([[0], [-1]], "tree.paths holds [-1]"),
        ([[0], [True]], "tree.paths holds [True]"),
        ([[0], [0.5]], "tree.paths holds [0.5]"),
        ([[0], [1], [0]], "tree.paths holds [0] twice; valid: every path once"),
        ([[0], [1, 0]], "tree.paths holds [1, 0] without [1]; valid: every path together with"),
    ],
)
def test_paths_that_are_no_tree(paths: list[list[int]], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        StaticTree(paths)


@pytest.mark.parametrize("nodes", [0, -1, 1025])
def test_numbers_of_nodes(nodes: int) -> None:
    with pytest.raises(UsageError, match=f"tree.nodes is {nodes}; valid: 1 to 1024"):
        BestFirstTree(nodes)


def test_ranks_beyond_the_draft_vocabulary() -> None:
    with pytest.raises(UsageError, match="the rank 3; valid for this drafter: 0 to 2"):
        StaticTree([[3]]).grow(Law(random_law(1, 3, 1), 3, 1), torch.tensor([7]), 1)


def test_on_a_device_the_same_tokens_are_looked_at() -> None:
    probs = torch.rand(3, 50, generator=torch.Generator().manual_seed(3))
    limits = torch.tensor([[0.0], [0.7], [2.0]])
    here = _above(probs.numpy(), limits.numpy())
    there = _above_on_device(probs, limits)
    for one, other in zip(here, there, strict=True):
        assert one.tolist() == other.tolist()
    assert (probs[1] > 0.7).sum() == (here[0] == 1).sum() and 2 not in here[0]


def test_a_request_with_few_prefixes_takes_all_there_are() -> None:
    """The first has two likely tokens behind its anchor and four more behind them, six nodes; the
    second has six of its own at once.
    """
    laws: list[dict[tuple[int, ...], list[float]]] = [
        {(): [0.9, 0.1, 0, 0, 0, 0], (0,): [0.5, 0.5, 0, 0, 0, 0], (1,): [0, 0, 0.5, 0.5, 0, 0]},
        {(): [0.2, 0.2, 0.2, 0.2, 0.1, 0.1]},
    ]
    laws[1] |= {(token,): [0.5, 0.1, 0.1, 0.1, 0.1, 0.1] for token in range(6)}
    trees = BestFirstTree(6).grow(Both(laws, 6), torch.tensor([7, 7]), 2)
    assert sorted(prefixes_of(trees[0])) == [(0,), (0, 0), (0, 1), (1,), (1, 2), (1, 3)]
    assert len(trees[1].parents) == 6
