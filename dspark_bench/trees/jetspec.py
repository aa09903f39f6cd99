"""`jetspec`: node-greedy growth (JetSpec).

The prefix of the largest estimated survival is taken, all of its `topk` likeliest continuations
become nodes, whatever they are worth, and so on until there are `nodes`; the last family is cut
where the nodes end. So a family is there as a whole, and a good node in another branch may not be.
JetSpec's own budget counts the root, ours does not: its 256 are 255 nodes here. There a sibling
that comes twice overwrites the first; here the siblings of a prefix are different tokens.

Since a product never rises, prefixes are taken in falling order of worth over all depths. So a
depth can be expanded at once: of its prefixes those before which fewer than `nodes` continuations
have come.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree, TreeSpec
from dspark_bench.trees.levels import (
    Level,
    check_nodes,
    first_level,
    next_level,
    places_behind,
    ranking,
    trees_of,
)


class JetSpecTree:
    """Whole families of the best prefixes, no deeper than drafts are long."""

    def __init__(self, nodes: int = 16, topk: int = 7) -> None:
        """nodes: of a tree, the anchor not counted; topk: tokens behind a prefix that is taken.
        Raises UsageError.
        """
        check_nodes(nodes)
        if topk < 1:
            raise UsageError(f"tree.topk is {topk}; valid: 1 or more")
        self._nodes, self._topk = nodes, topk
        self.spec = TreeSpec("jetspec", nodes, None, 1, has_survival=True)

    def grow(self, branches: Branches, anchors: Tensor, depth: int) -> list[DraftTree]:
        """A tree for each anchor [B], with fewer nodes where fewer prefixes are possible."""
        levels = [first_level(branches, anchors, self._topk)]
        while len(levels) < depth:
            is_open = self._is_taken(levels)
            if not bool(is_open.any()):
                break
            levels.append(next_level(branches, levels[-1], is_open, self._topk))
        order, worth = ranking(levels)
        counts = worth.isfinite().sum(1).tolist()
        parents = places_behind(levels).tolist()
        places = [
            self._pick(own[:count], behind)
            for own, count, behind in zip(order.tolist(), counts, parents, strict=True)
        ]
        return trees_of(levels, places)

    def _is_taken(self, levels: Sequence[Level]) -> Tensor:
        """[B, W]: whether the last level's prefixes may be taken before there are enough nodes.

        A prefix of the last level gives one node at least, those before it what they have given.
        """
        order, worth = ranking(levels)
        parents = places_behind(levels)
        is_real = torch.cat([level.worth for level in levels], dim=1).isfinite()
        width = levels[-1].worth.shape[1]
        given = torch.zeros_like(parents)
        given[:, -width:] = 1
        inner = parents.clamp(min=0)
        given.scatter_add_(1, inner, (is_real & (parents >= 0)).long())
        start = is_real[:, : levels[0].worth.shape[1]].sum(1, keepdim=True)
        ranked = given.gather(1, order)
        before = start + ranked.cumsum(1) - ranked
        is_early = (before < self._nodes) & worth.isfinite()
        return torch.zeros_like(is_real).scatter_(1, order, is_early)[:, -width:]

    def _pick(self, order: Sequence[int], parents: Sequence[int]) -> list[int]:
        """Places that become nodes, by falling worth. order: of what is possible, by worth."""
        families: dict[int, list[int]] = {}
        for place in order:
            families.setdefault(parents[place], []).append(place)
        nodes: set[int] = set()
        for taken in (-1, *order):
            family = families.get(taken, [])
            nodes.update(family[: self._nodes - len(nodes)])
        return [place for place in order if place in nodes]
