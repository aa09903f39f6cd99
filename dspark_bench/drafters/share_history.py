"""How often drafts of a frequency stood: what stands in for the confidences of `suffix`.

A token that followed in two of three cases need not stand in two of three: one case says little,
and a long match says more than a short one. So slots are told apart by the length of their match
and by the share of the times that their token followed, and each kind is judged by what became of
its earlier drafts. All of it is known before the slot is judged, and drafts follow from the
context, so nothing that is drawn has a say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MEMORY: Final = 0.995
"""Share of what is known of a kind that a further slot of it leaves."""
FIRST_TRIALS: Final = 4.0
FIRST_SHARE: Final = 0.5
"""Before anything is known: as if so many slots had been judged, of which so much of their share
had stood."""
LONGEST_MATCH: Final = 8
"""Longer matches count as this long."""
_STEPS: Final = 4

Kind = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft, the length of its match, and the share of each token behind the one before it."""

    tokens: tuple[int, ...]
    length: int
    shares: tuple[float, ...]

    def kinds(self) -> list[Kind]:
        """Of each slot."""
        length = min(self.length, LONGEST_MATCH)
        return [(length, round(_STEPS * share)) for share in self.shares]


class ShareHistory:
    """Slots reached and slots that stood, by kind."""

    def __init__(self) -> None:
        self._reached: dict[Kind, float] = {}
        self._stood: dict[Kind, float] = {}

    def confidence(self, draft: Drafted, num_slots: int) -> list[float]:
        """Of each slot, when reached; `FIRST_SHARE` where there is no draft, which nobody reads."""
        found = [
            (self._stood.get(kind, 0.0) + FIRST_TRIALS * FIRST_SHARE * share)
            / (self._reached.get(kind, 0.0) + FIRST_TRIALS)
            for kind, share in zip(draft.kinds(), draft.shares, strict=True)
        ]
        return found + [FIRST_SHARE] * (num_slots - len(found))

    def learn(self, draft: Drafted, emitted: Sequence[int]) -> None:
        """A draft is over. emitted: what stands in its place, the bonus token included.

        As in `match_history`: slots behind the first that differs were not reached, and one that
        was not verified is judged by the bonus token, which stands in its place.
        """
        for token, kind, real in zip(draft.tokens, draft.kinds(), emitted, strict=False):
            self._reached[kind] = MEMORY * self._reached.get(kind, 0.0) + 1
            self._stood[kind] = MEMORY * self._stood.get(kind, 0.0) + (token == real)
            if token != real:
                break
