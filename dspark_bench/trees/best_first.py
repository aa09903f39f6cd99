"""`best_first`: the prefixes that the drafter finds likeliest, whatever their shape (DDTree).

The `nodes` prefixes of the largest estimated survival make the tree that is best under the
drafter's own estimates; with each come all that it continues, since a product never rises. A heap
over prefixes finds them one by one; here each depth is expanded at once for all requests, and only
what is among the best so far goes on, which gives the same set.
"""

from torch import Tensor

from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree, TreeSpec
from dspark_bench.trees.levels import (
    best_trees,
    check_nodes,
    first_level,
    is_among_best,
    next_level,
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
        levels = [first_level(branches, anchors, self._nodes)]
        while len(levels) < depth:
            last = levels[-1]
            is_open = is_among_best(levels, self._nodes)[:, -last.worth.shape[1] :]
            if not bool(is_open.any()):
                break
            levels.append(next_level(branches, last, is_open, self._nodes, self._nodes))
        return best_trees(levels, self._nodes)
