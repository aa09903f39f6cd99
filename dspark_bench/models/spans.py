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
    parents: index of each new token's parent among the new ones, -1 for the context (a tree).
    """

    row: int
    context_len: int
    query_len: int
    visible_len: int | None = None
    parents: tuple[int, ...] | None = None


def depths(span: Span) -> Sequence[int]:
    """How far each new token is from the context: its place, or that in its branch of a tree."""
    return range(span.query_len) if span.parents is None else node_depths(span.parents)
