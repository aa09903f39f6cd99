"""Arithmetic on trees that are given by each node's parent: -1 for the root, parents first."""

from collections.abc import Sequence

from dspark_bench.core.errors import UsageError


def node_depths(parents: Sequence[int]) -> list[int]:
    """How many nodes lie between each node and the root: 0 for the root's children."""
    found: list[int] = []
    for parent in parents:
        found.append(0 if parent < 0 else found[parent] + 1)
    return found


def children_of(parents: Sequence[int]) -> dict[int, list[int]]:
    """The children of every node that has some, the root's under -1."""
    found: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        found.setdefault(parent, []).append(node)
    return found


def check_parents(
    owner: str, parents: Sequence[int], token_ids: Sequence[int], may_repeat: bool = False
) -> None:
    """Raise UsageError unless every parent comes before its child and siblings differ in token.

    may_repeat: siblings need not differ.
    """
    if len(parents) != len(token_ids):
        raise UsageError(
            f"{owner} gave {len(parents)} parents for {len(token_ids)} nodes; valid: one each"
        )
    for node, parent in enumerate(parents):
        if not -1 <= parent < node:
            raise UsageError(
                f"{owner} gave node {node} the parent {parent}; valid: -1 for the anchor, or a "
                "node before it"
            )
    if not may_repeat and len(set(zip(parents, token_ids, strict=True))) < len(parents):
        raise UsageError(f"{owner} gave siblings the same token; valid: different tokens")


def falling_order(parents: Sequence[int], survival: Sequence[float]) -> list[int]:
    """Nodes by falling survival; of equal ones the shallower first, then the earlier, so that no
    token ever decides and parents come before their children.

    survival: never above that of a node's parent.
    """
    depths = node_depths(parents)
    return sorted(range(len(parents)), key=lambda node: (-survival[node], depths[node], node))


def matched_path(
    parents: Sequence[int], token_ids: Sequence[int], drawn: Sequence[int]
) -> tuple[list[int], bool]:
    """Nodes [a] that carry what the target drew, and whether the draw behind them was refused.

    drawn [1 + nodes]: the target's token at the anchor, then at every node. The walk goes down
    while a child carries the token; a draw is refused where there were children and none did.
    """
    children = children_of(parents)
    path: list[int] = []
    node = -1
    while options := children.get(node):
        match = next((child for child in options if token_ids[child] == drawn[1 + node]), None)
        if match is None:
            return path, True
        path.append(match)
        node = match
    return path, False
