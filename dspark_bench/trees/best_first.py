"""`best_first`: the prefixes that the drafter finds likeliest, whatever their shape (DDTree).

The `nodes` prefixes of the largest estimated survival make the tree that is best under the
drafter's own estimates; with each come all that it continues, since a product never rises. A heap
over prefixes finds them one by one; here each depth is expanded at once for all requests, and only
what is among the best so far goes on, which gives the same set.
"""

import numpy as np
from torch import Tensor

from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree, TreeSpec
from dspark_bench.trees.prefixes import (
    Choices,
    Numbers,
    Prefixes,
    Values,
    behind,
    best_of_each,
    check_nodes,
    first,
    likelier_than,
    trees_of,
)


class BestFirstTree:
    """The `nodes` likeliest prefixes, no deeper than drafts are long."""

    def __init__(self, nodes: int = 16) -> None:
        """nodes: of a tree, the anchor not counted. Raises UsageError unless 1 to MOST_NODES."""
        check_nodes(nodes)
        self._nodes = nodes
        self.spec = TreeSpec("best_first", nodes, None, 1, has_survival=True)

    def grow(self, branches: Branches, anchors: Tensor, depth: int) -> list[DraftTree]:
        """A tree for each anchor [B], with fewer nodes where fewer prefixes are possible."""
        known = first(branches, anchors, self._nodes)
        best = last = best_of_each(known, self._nodes)
        for _ in range(1, depth):
            if not len(last):
                break
            limits = self._limits(known, best, last, len(anchors))

            def look(probs: Tensor, limits: Values = limits) -> Choices:
                return likelier_than(probs, limits)

            num_before = len(known)
            known = known.and_then(behind(branches, known, last, look, anchors.device))
            best = np.append(best, np.arange(num_before, len(known)))
            best = best[best_of_each(known.at(best), self._nodes)]
            last = best[best >= num_before]
        return trees_of(known, best, len(anchors))

    def _limits(self, known: Prefixes, best: Numbers, last: Numbers, size: int) -> Values:
        """Probability [n] that a token behind each of the `last` must exceed to be among the best;
        of a request with fewer than `nodes` prefixes, 0.
        """
        counts = np.bincount(known.requests[best], minlength=size)
        least = np.full(size, -np.inf)
        is_full = counts == self._nodes
        least[is_full] = known.worth[best[np.cumsum(counts)[is_full] - 1]]
        limits: Values = np.exp(least[known.requests[last]] - known.worth[last])
        return limits
