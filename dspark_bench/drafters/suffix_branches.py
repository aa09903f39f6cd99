"""What followed a match, as distributions behind drafted prefixes: the ground that trees grow on.

Called by `suffix` alone. A token's probability is the share of the times that it followed; behind a
prefix that nothing followed, or beyond the room that its match gives, all probabilities are 0.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.drafters.suffix_trie import Leaf, Node, behind, shares


@dataclass(frozen=True, slots=True)
class Start:
    """A match, and how many tokens may be drafted behind it."""

    piece: Node | Leaf
    room: int


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A drafted prefix, as the piece that it makes of the match, and its probability."""

    piece: Node | Leaf
    room: int
    product: float


class SuffixBranches:
    """See `core.protocols.Branches`: over the whole vocabulary, most of it 0."""

    def __init__(
        self,
        starts: Sequence[Start | None],
        vocab_size: int,
        least: float,
        ends: Collection[int],
        device: torch.device,
    ) -> None:
        """starts [B]; least: product of probabilities below which nothing is drafted; ends: tokens
        behind which nothing is.
        """
        self._starts = starts
        self._size = vocab_size
        self._least, self._ends = least, ends
        self._device = device
        self._last: list[_Prefix | None] = []

    @property
    def num_choices(self) -> int:
        """V."""
        return self._size

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        """Shares of the tokens that followed each prefix."""
        if origins is None:
            prefixes = [self._first(place) for place in requests.tolist()]
        else:
            pairs = zip(origins.tolist(), previous.tolist(), strict=True)
            prefixes = [self._longer(self._last[row], token) for row, token in pairs]
        self._last = prefixes
        rows: list[int] = []
        tokens: list[int] = []
        masses: list[float] = []
        for row, prefix in enumerate(prefixes):
            for token, share in self._shares(prefix).items():
                rows.append(row)
                tokens.append(token)
                masses.append(share)
        probs = torch.zeros(len(prefixes), self._size)
        probs[rows, tokens] = torch.tensor(masses)
        return probs.to(self._device)

    def token_ids(self, choices: Tensor) -> Tensor:
        """Themselves."""
        return choices

    def _first(self, place: int) -> _Prefix | None:
        start = self._starts[place]
        return None if start is None else _Prefix(start.piece, start.room, 1.0)

    def _longer(self, prefix: _Prefix | None, token: int) -> _Prefix | None:
        share = self._shares(prefix).get(token)
        piece = None if prefix is None else behind(prefix.piece, token)
        if prefix is None or piece is None or share is None or token in self._ends:
            return None
        return _Prefix(piece, prefix.room - 1, prefix.product * share)

    def _shares(self, prefix: _Prefix | None) -> dict[int, float]:
        """Of the tokens that are worth drafting."""
        if prefix is None or prefix.room < 1:
            return {}
        found = shares(prefix.piece)
        return {t: share for t, share in found.items() if prefix.product * share >= self._least}
