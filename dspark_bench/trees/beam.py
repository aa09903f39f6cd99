"""`beam`: of every depth the `topk` best prefixes are expanded, then all are ranked (EAGLE-2).

A prefix is worth the product of its tokens' draft probabilities. Behind each of the `topk` best
prefixes of a depth stand its `topk` likeliest tokens; of everything seen on the way the `nodes`
best are proposed (EAGLE-2, sections 4.1 and 4.2). What it never expands it cannot propose: that is
how it differs from `best_first`, which at as many nodes is never worth less, and may expand more.
"""

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree, TreeSpec
from dspark_bench.trees.levels import best_trees, check_nodes, first_level, next_level


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
        levels = [first_level(branches, anchors, self._topk)]
        while len(levels) < depth:
            last = levels[-1]
            is_near = torch.arange(last.worth.shape[1], device=last.worth.device) < self._topk
            is_open = is_near & last.worth.isfinite()
            if not bool(is_open.any()):
                break
            levels.append(next_level(branches, last, is_open, self._topk))
        return best_trees(levels, self._nodes)
