"""`beam`: of every depth the `topk` best prefixes are expanded, then all are ranked (EAGLE-2).

A prefix is worth the product of its tokens' draft probabilities. Behind each of the `topk` best
prefixes of a depth stand its `topk` likeliest tokens; of everything seen on the way the `nodes`
best are proposed (EAGLE-2, sections 4.1 and 4.2). What it never expands it cannot propose: that is
how it differs from `best_first`, which at as many nodes is never worth less, and may expand more.
"""

from functools import partial

from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree, TreeSpec
from dspark_bench.trees.prefixes import (
    behind,
    best_of_each,
    check_nodes,
    first,
    likeliest,
    trees_of,
)


class BeamTree:
    """As deep as drafts are long: EAGLE-2's depth of 7 is gamma=8, its 60 tokens are 59 nodes."""

    def __init__(self, nodes: int = 16, topk: int = 4) -> None:
        """nodes: of a tree, the anchor not counted; topk: prefixes expanded of each depth, and
        tokens looked at behind each. Raises UsageError.
        """
        check_nodes(nodes)
        if topk < 1:
            raise UsageError(f"tree.topk is {topk}; valid: 1 or more")
        self._nodes, self._topk = nodes, topk
        self.spec = TreeSpec("beam", nodes, None, 1, has_survival=True)

    def grow(self, branches: Branches, anchors: Tensor, depth: int) -> list[DraftTree]:
        """A tree for each anchor [B], with fewer nodes where fewer prefixes were seen."""
        known = first(branches, anchors, self._topk)
        num_before, look = 0, partial(likeliest, width=self._topk)
        for _ in range(1, depth):
            near = num_before + best_of_each(known.at(slice(num_before, None)), self._topk)
            if not len(near):
                break
            num_before = len(known)
            known = known.and_then(behind(branches, known, near, look, anchors.device))
        return trees_of(known, best_of_each(known, self._nodes), len(anchors))
