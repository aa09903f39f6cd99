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

from functools import partial

import numpy as np
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree, TreeSpec
from dspark_bench.trees.prefixes import (
    Numbers,
    Prefixes,
    behind,
    check_nodes,
    first,
    likeliest,
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
        size = len(anchors)
        known = first(branches, anchors, self._topk)
        num_first, num_before, look = len(known), 0, partial(likeliest, width=self._topk)
        for _ in range(1, depth):
            taken = self._taken(known, num_first, num_before, size)
            if not len(taken):
                break
            num_before = len(known)
            known = known.and_then(behind(branches, known, taken, look, anchors.device))
        order = known.ranked()
        families = self._families(known, order, size)
        is_node = np.zeros(len(known), dtype=np.bool_)
        is_node[families] = True
        return trees_of(known, order[is_node[order]], size)

    def _taken(self, known: Prefixes, num_first: int, num_before: int, size: int) -> Numbers:
        """Places of the prefixes of the last depth, from place `num_before` on, that may be taken
        before there are enough nodes: before which fewer than `nodes` have come.

        A prefix of the last depth gives one node at least, those before it what they have given.
        """
        given = np.bincount(known.parents[num_first:], minlength=len(known))
        given[num_before:] = 1
        order = known.ranked()
        ranked, requests = given[order], known.requests[order]
        before = np.cumsum(ranked) - ranked
        starts = np.searchsorted(requests, np.arange(size))
        own_start = np.bincount(known.requests[:num_first], minlength=size)[requests]
        before = before - before[starts[requests]] + own_start
        taken: Numbers = order[(before < self._nodes) & (order >= num_before)]
        return taken

    def _families(self, known: Prefixes, order: Numbers, size: int) -> list[int]:
        """Places that become nodes. order: all places, request by request, by worth."""
        families: list[list[int]] = [[] for _ in range(len(known))]
        firsts: list[list[int]] = [[] for _ in range(size)]
        requests, parents = known.requests.tolist(), known.parents.tolist()
        for place in order.tolist():
            parent = parents[place]
            (families[parent] if parent >= 0 else firsts[requests[place]]).append(place)
        chosen = [family[: self._nodes] for family in firsts]
        for place in order.tolist():
            nodes = chosen[requests[place]]
            nodes += families[place][: self._nodes - len(nodes)]
        return [place for nodes in chosen for place in nodes]
