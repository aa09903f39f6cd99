"""`optimal`: the fixed shape that is best for stated acceptances (Sequoia; OPT-Tree for one cycle).

acceptance[d][r]: how often the drafter's choice of rank r, d tokens behind the anchor's child, is
the target's draw, given that the prefix before it stood. A path of ranks stands with the product of
its acceptances, and the expected accepted depth is the sum of that over the nodes. No product rises
along a path, so the `nodes` best paths continue one another, and no other shape of as many nodes is
worth more: the optimum that Sequoia's dynamic programme finds over subtrees.
"""

import heapq
from collections.abc import Sequence

from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree
from dspark_bench.trees.prefixes import check_nodes
from dspark_bench.trees.static import Path, StaticTree

_ROUNDING = 1e-6


class OptimalTree:
    """`static`, with paths computed from acceptances."""

    def __init__(self, acceptance: list[list[float]], nodes: int = 16, gamma: int = 4) -> None:
        """acceptance: see above, a list for each depth, the first is of the anchor's children;
        nodes: of the tree, the anchor not counted; gamma: no path is longer. Raises UsageError.
        """
        check_nodes(nodes)
        rows = _checked(acceptance)
        paths = optimal_paths(rows[:gamma], nodes)
        if not paths:
            raise UsageError("tree.acceptance is 0 at the anchor; valid: some rank above 0")
        self._tree = StaticTree([list(path) for path in paths])
        self.spec = self._tree.spec

    def grow(self, branches: Branches, anchors: Tensor, depth: int) -> list[DraftTree]:
        """The shape for each anchor [B]. Raises UsageError for ranks that a drafter lacks."""
        return self._tree.grow(branches, anchors, depth)


def optimal_paths(acceptance: Sequence[Sequence[float]], nodes: int) -> list[Path]:
    """The `nodes` paths of ranks that stand most often, fewer where the others never stand.

    By falling chance to stand, the shorter before the longer where it is equal.
    """
    ranked = [
        sorted(((-share, rank) for rank, share in enumerate(row) if share > 0))
        for row in acceptance
    ]
    heap = _children((), 1.0, ranked)
    heapq.heapify(heap)
    found: list[Path] = []
    while heap and len(found) < nodes:
        worth, _, path = heapq.heappop(heap)
        found.append(path)
        for child in _children(path, -worth, ranked):
            heapq.heappush(heap, child)
    return found


def _children(
    path: Path, worth: float, ranked: Sequence[Sequence[tuple[float, int]]]
) -> list[tuple[float, int, Path]]:
    """Of a path that is worth this much: minus their worth, their length, themselves."""
    if len(path) == len(ranked):
        return []
    return [(worth * share, len(path) + 1, (*path, rank)) for share, rank in ranked[len(path)]]


def expected_depth(acceptance: Sequence[Sequence[float]], paths: Sequence[Path]) -> float:
    """Expected accepted depth of a tree: the sum over its paths of their chances to stand."""
    total = 0.0
    for path in paths:
        worth = 1.0
        for depth, rank in enumerate(path):
            worth *= acceptance[depth][rank]
        total += worth
    return total


def _checked(acceptance: object) -> list[list[float]]:
    """Raises UsageError for what is no table of shares that exclude one another."""
    valid = "valid: a list for each depth of shares by rank, such as [[0.6,0.2],[0.5,0.15]]"
    if not isinstance(acceptance, list) or not acceptance:
        raise UsageError(f"tree.acceptance is {acceptance!r}; {valid}")
    for row in acceptance:
        if not isinstance(row, list) or not row or not all(map(_is_share, row)):
            raise UsageError(f"tree.acceptance holds {row!r}; {valid}, each of them 0 to 1")
        if sum(row) > 1 + _ROUNDING:
            raise UsageError(
                f"tree.acceptance holds {row!r}, which sum to {sum(row):.4g}; valid: up to 1, "
                "since only one of the siblings can stand"
            )
    return acceptance


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
