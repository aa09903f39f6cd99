"""New tokens of one request, and what they see of one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from dspark_bench.core.tree import node_depths


class Visibility(Enum):
    """What a query sees of its own request's new tokens: those before it, or the whole block."""

    CAUSAL = "causal"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Span:
    """New tokens of one request.

    row: cache row; context_len: tokens already cached; query_len: new tokens;
    visible_len: how many of the new tokens may be seen under BLOCK (default all);
    parents: of a tree, each token's parent among the tree's own, -1 for the context; num_cached:
    how many of these tokens, the first ones, lie in the cache already, right behind the context.
    """

    row: int
    context_len: int
    query_len: int
    visible_len: int | None = None
    parents: tuple[int, ...] | None = None
    num_cached: int = 0

    @property
    def first_place(self) -> int:
        """In the row: of the first new token."""
        return self.context_len + self.num_cached

    @property
    def num_keys(self) -> int:
        """Places of the row that hold something."""
        return self.first_place + self.query_len


def depths(span: Span) -> Sequence[int]:
    """How far each new token is from the context: its place, or that in its branch of a tree."""
    if span.parents is None:
        return range(span.query_len)
    return node_depths(span.parents)[span.num_cached :]
