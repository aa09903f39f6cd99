"""Every piece of some texts, up to a depth, and how often each token followed it.

A trie over all suffixes, cut at `max_depth` tokens. A suffix that nothing has branched off yet is a
place in its text and no nodes (as in Ukkonen's tree), so that a text costs about as many nodes as
it has repeated pieces, and a token that repeats nothing costs one entry per length that was met
before. Called by `suffix` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

Leaf = tuple[list[int], int]
"""A piece that stands in one place only: the text, and where in it the piece's last token stands.
What follows is read off the text, which may grow."""


@dataclass(slots=True)
class Node:
    """A piece that has been met more than once.

    count: how often; followed: how often with a token behind it; best, best_count: the token that
    followed most often, the earlier met of equals; best_count is 0 where that must be looked for.
    """

    count: int
    followed: int = 0
    best: int = -1
    best_count: int = 0
    children: dict[int, "Node | Leaf"] = field(default_factory=dict)

    def likeliest(self) -> tuple[int, int] | None:
        """The token that followed most often, and how often. None: nothing ever did."""
        if not self.children:
            return None
        if not self.best_count:
            self.best = max(self.children, key=lambda token: count_of(self.children[token]))
            self.best_count = count_of(self.children[self.best])
        return self.best, self.best_count


@dataclass(slots=True)
class Text:
    """A text that grows. ends [m]: the nodes of its last 1, 2, ... m tokens, for as many as have
    been met before: the longer the rarer.
    """

    tokens: list[int] = field(default_factory=list)
    ends: list[Node] = field(default_factory=list)


class SuffixTrie:
    """Mutated by `append` and `remove` alone."""

    def __init__(self, max_depth: int) -> None:
        """max_depth: tokens of the longest piece that is kept."""
        self.max_depth = max_depth
        self._root = Node(0)

    def append(self, text: Text, token: int) -> None:
        """Let a text of this trie grow by a token: at most `max_depth` steps."""
        text.tokens.append(token)
        place = len(text.tokens) - 1
        longer = [self._root, *text.ends[: self.max_depth - 1]]
        met = [
            _step(node, text.tokens, place, depth < self.max_depth)
            for depth, node in enumerate(longer, start=1)
        ]
        text.ends = [node for node in met if node is not None]

    def remove(self, tokens: list[int]) -> None:
        """Forget a text. tokens: the very list that has grown."""
        for start in range(len(tokens)):
            node = self._root
            for place in range(start, min(len(tokens), start + self.max_depth)):
                node.followed -= 1
                node.best_count = 0
                child = node.children[tokens[place]]
                if isinstance(child, tuple):
                    del node.children[tokens[place]]
                    break
                child.count -= 1
                if not child.count:
                    del node.children[tokens[place]]
                    break
                node = child

    def find(self, piece: Sequence[int]) -> "Node | Leaf | None":
        """Where a piece of at most `max_depth` tokens ends; None if it was never met."""
        found: Node | Leaf | None = self._root
        for token in piece:
            if found is None:
                return None
            found = behind(found, token)
        return found


def behind(piece: Node | Leaf, token: int) -> Node | Leaf | None:
    """The piece that is one token longer, None where it was never met."""
    if isinstance(piece, Node):
        return piece.children.get(token)
    tokens, place = piece
    is_next = place + 1 < len(tokens) and tokens[place + 1] == token
    return (tokens, place + 1) if is_next else None


def likeliest(piece: Node | Leaf) -> tuple[int, float] | None:
    """The token that followed most often, and its share of all that did; None: nothing did."""
    if isinstance(piece, Node):
        found = piece.likeliest()
        return None if found is None else (found[0], found[1] / piece.followed)
    tokens, place = piece
    return (tokens[place + 1], 1.0) if place + 1 < len(tokens) else None


def shares(piece: Node | Leaf) -> dict[int, float]:
    """Each token that followed, with its share."""
    if isinstance(piece, Node):
        return {t: count_of(child) / piece.followed for t, child in piece.children.items()}
    found = likeliest(piece)
    return {} if found is None else dict([found])


def count_of(piece: Node | Leaf) -> int:
    """How often it was met."""
    return piece.count if isinstance(piece, Node) else 1


def _step(node: Node, tokens: list[int], place: int, goes_on: bool) -> Node | None:
    """Count tokens[place] behind a node; the longer piece's node if it was met before.

    goes_on: whether what follows the longer piece is of interest.
    """
    token = tokens[place]
    child = node.children.get(token)
    node.followed += 1
    if child is None:
        node.children[token] = (tokens, place)
    elif isinstance(child, tuple):
        node.children[token] = child = _branched(child, goes_on)
    else:
        child.count += 1
    if node.best_count and (count := count_of(node.children[token])) > node.best_count:
        node.best, node.best_count = token, count
    return child


def _branched(leaf: Leaf, goes_on: bool) -> Node:
    """The node of a piece that is met for the second time; its first place goes on as a leaf."""
    tokens, place = leaf
    node = Node(2)
    if goes_on and place + 1 < len(tokens):
        node.children[tokens[place + 1]] = (tokens, place + 1)
        node.followed = 1
    return node
