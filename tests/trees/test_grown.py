"""`beam`, `jetspec` and `optimal` against references that look at every prefix, and by hand."""

import heapq
import itertools
import re

import pytest
import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import DraftTree
from dspark_bench.trees.beam import BeamTree
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.trees.jetspec import JetSpecTree
from dspark_bench.trees.optimal import OptimalTree, expected_depth, optimal_paths
from tests.trees.test_policies import Both, Law, prefixes_of, random_law, worth

Laws = dict[tuple[int, ...], list[float]]
ANCHOR = torch.tensor([7])


def best_children(law: Laws, prefix: tuple[int, ...], topk: int) -> list[tuple[int, ...]]:
    tokens = sorted(range(len(law[prefix])), key=lambda token: -law[prefix][token])
    return [(*prefix, token) for token in tokens[:topk] if law[prefix][token] > 0]


def beam_by_list(law: Laws, nodes: int, topk: int, depth: int) -> list[tuple[int, ...]]:
    """As EAGLE-2's text has it: the k best of a depth, their k children each, then all ranked."""
    seen = last = best_children(law, (), topk)
    for _ in range(depth - 1):
        chosen = sorted(last, key=lambda prefix: -worth(law, prefix))[:topk]
        last = [child for prefix in chosen for child in best_children(law, prefix, topk)]
        seen = seen + last
    return sorted(seen, key=lambda prefix: -worth(law, prefix))[:nodes]


def jetspec_by_heap(law: Laws, nodes: int, topk: int, depth: int) -> list[tuple[int, ...]]:
    """Pop the best, append its whole family up to the budget, push them."""
    heap: list[tuple[float, tuple[int, ...]]] = [(-1.0, ())]
    found: list[tuple[int, ...]] = []
    while heap and len(found) < nodes:
        _, prefix = heapq.heappop(heap)
        family = best_children(law, prefix, topk) if len(prefix) < depth else []
        for child in family[: nodes - len(found)]:
            found.append(child)
            heapq.heappush(heap, (-worth(law, child), child))
    return found


@pytest.mark.parametrize("nodes", [1, 3, 6, 11, 30, 100])
@pytest.mark.parametrize("topk", [1, 2, 3, 9])
@pytest.mark.parametrize("seed", range(3))
def test_trees_are_those_of_the_references(nodes: int, topk: int, seed: int) -> None:
    law = random_law(seed, 4, 4)
    [tree] = BeamTree(nodes, topk).grow(Law(law, 4, 1), ANCHOR, 4)
    assert prefixes_of(tree) == beam_by_list(law, nodes, topk, 4)
    [tree] = JetSpecTree(nodes, topk).grow(Law(law, 4, 1), ANCHOR, 4)
    wanted = jetspec_by_heap(law, nodes, topk, 4)
    assert prefixes_of(tree) == sorted(wanted, key=lambda prefix: -worth(law, prefix))


@pytest.mark.parametrize("policy", [BeamTree(7, 3), JetSpecTree(9, 2), JetSpecTree(14, 3)])
def test_requests_grow_apart(policy: BeamTree | JetSpecTree) -> None:
    laws = [random_law(seed, 3, 4) for seed in (1, 2)]
    laws[1][()] = [1.0, 0.0, 0.0]
    alone = [policy.grow(Law(law, 3, 1), ANCHOR, 4)[0] for law in laws]
    assert policy.grow(Both(laws, 3), torch.tensor([7, 7]), 4) == alone


LAW: Laws = {
    (): [0.5, 0.3, 0.2],
    (0,): [0.1, 0.6, 0.3],
    (1,): [0.98, 0.01, 0.01],
    (2,): [1.0, 0.0, 0.0],
}


def test_beam_by_hand() -> None:
    """Two of a depth: 0 (.5) and 1 (.3); behind them 01 (.3), 02 (.15), 10 (.294), 11 (.003)."""
    [tree] = BeamTree(4, 2).grow(Law(LAW, 3, 1), ANCHOR, 2)
    assert tree == DraftTree((0, 1, 1, 0), (-1, -1, 0, 1))
    # 20 is worth 0.2, more than 02, but 2 is not among the two best: it is not seen
    [tree] = BeamTree(6, 2).grow(Law(LAW, 3, 1), ANCHOR, 2)
    assert prefixes_of(tree) == [(0,), (1,), (0, 1), (1, 0), (0, 2), (1, 1)]
    [best] = BestFirstTree(6).grow(Law(LAW, 3, 1), ANCHOR, 2)
    assert (2,) in prefixes_of(best) and (2, 0) in prefixes_of(best)


def test_jetspec_by_hand() -> None:
    """The anchor's family, then that of 0 (.5), whole, though 02 and 00 are worth less than 10."""
    [tree] = JetSpecTree(6, 3).grow(Law(LAW, 3, 1), ANCHOR, 2)
    assert prefixes_of(tree) == [(0,), (1,), (0, 1), (2,), (0, 2), (0, 0)]
    # the family of 1 is cut where the nodes end
    [tree] = JetSpecTree(7, 3).grow(Law(LAW, 3, 1), ANCHOR, 2)
    assert set(prefixes_of(tree)) - {(1, 0)} == {(0,), (1,), (2,), (0, 0), (0, 1), (0, 2)}


def test_what_cannot_be_drafted_is_no_node() -> None:
    law = {(): [1.0, 0.0], (0,): [0.0, 1.0]}
    for policy in (BeamTree(9, 2), JetSpecTree(9, 2)):
        [tree] = policy.grow(Law(law, 2, 1), ANCHOR, 2)
        assert tree == DraftTree((0, 1), (-1, 0))


class Counting(Law):
    """Counts the prefixes expanded."""

    num_rows = 0

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        self.num_rows += len(requests)
        return super().expand(requests, previous, origins)


def test_no_more_is_expanded_than_the_rule_needs() -> None:
    law = random_law(3, 4, 4)
    beam = Counting(law, 4, 1)
    BeamTree(30, 2).grow(beam, ANCHOR, 4)
    assert beam.num_rows == 1 + 3 * 2
    jetspec = Counting(law, 4, 1)
    JetSpecTree(4, 4).grow(jetspec, ANCHOR, 4)
    assert jetspec.num_rows == 1


def closed_sets(paths: list[tuple[int, ...]], size: int) -> list[tuple[tuple[int, ...], ...]]:
    return [
        chosen
        for chosen in itertools.combinations(paths, size)
        if all(len(path) == 1 or path[:-1] in chosen for path in chosen)
    ]


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_no_shape_is_worth_more_than_the_optimal_one(nodes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(3, 2, generator=generator)
    acceptance = (
        drawn / drawn.sum(1, keepdim=True) * torch.rand(3, 1, generator=generator)
    ).tolist()
    every = [p for n in (1, 2, 3) for p in itertools.product(range(2), repeat=n)]
    best = max(expected_depth(acceptance, chosen) for chosen in closed_sets(every, nodes))
    found = optimal_paths(acceptance, nodes)
    assert len(found) == nodes
    assert expected_depth(acceptance, found) == pytest.approx(best)


def test_the_optimal_shape_by_hand() -> None:
    """0.6, 0.6 * 0.5 = 0.3, 0.2, 0.3 * 0.5 = 0.15, 0.2 * 0.5 = 0.1; depths have their own rows."""
    acceptance = [[0.6, 0.2], [0.5], [0.5]]
    assert optimal_paths(acceptance, 4) == [(0,), (0, 0), (1,), (0, 0, 0)]
    assert expected_depth(acceptance, optimal_paths(acceptance, 4)) == pytest.approx(1.25)
    assert optimal_paths([[0.0, 0.4], [0.1]], 9) == [(1,), (1, 0)]
    tree = OptimalTree(acceptance, 4, 2)
    assert (tree.spec.num_nodes, tree.spec.depth, tree.spec.num_choices) == (4, 2, 2)
    [grown] = tree.grow(Law(random_law(1, 3, 2), 3, 1), ANCHOR, 2)
    assert grown.parents == (-1, -1, 0, 1)


@pytest.mark.parametrize(
    ("acceptance", "message"),
    [
        ([], "tree.acceptance is []; valid: a list for each depth of shares by rank"),
        (0.5, "tree.acceptance is 0.5"),
        ([0.5], "tree.acceptance holds 0.5"),
        ([[0.5], []], "tree.acceptance holds []"),
        ([[0.5, True]], "tree.acceptance holds [0.5, True]"),
        ([[1.5]], "tree.acceptance holds [1.5]"),
        ([[0.7, 0.4]], "which sum to 1.1; valid: up to 1"),
        ([[0.0], [0.4]], "tree.acceptance is 0 at the anchor"),
    ],
)
def test_acceptances_that_are_none(acceptance: list[list[float]], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        OptimalTree(acceptance)


@pytest.mark.parametrize("policy", [BeamTree, JetSpecTree])
def test_sizes_that_are_none(policy: type[BeamTree | JetSpecTree]) -> None:
    with pytest.raises(UsageError, match=r"tree\.nodes is 0; valid: 1 to 1024"):
        policy(0)
    with pytest.raises(UsageError, match=r"tree\.topk is 0; valid: 1 or more"):
        policy(4, 0)
