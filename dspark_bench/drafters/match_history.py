"""How often earlier drafts of a look-up came true: what stands in for its confidences.

A drafter that copies has no distribution, but it knows how long the match was behind which it
copied, and what became of its drafts. Both are known before the token at hand is judged, and its
drafts follow from the context, so nothing that is drawn has a say.
"""

from collections.abc import Sequence
from itertools import zip_longest

MEMORY = 0.995
"""Share of what is known of a match length that a further draft of it leaves."""
FIRST_TRIALS = 4.0
FIRST_SHARE = 0.5
"""Before anything is known: as if so many tokens had been judged, and this share had stood."""


class MatchHistory:
    """Tokens reached and tokens that stood, by length of the match and by slot."""

    def __init__(self) -> None:
        self._reached: dict[int, list[float]] = {}
        self._stood: dict[int, list[float]] = {}

    def confidence(self, length: int, num_slots: int) -> list[float]:
        """Of a draft behind a match of this length: how often each slot stood when reached."""
        reached, stood = self._reached.get(length, []), self._stood.get(length, [])
        known = [
            (good + FIRST_TRIALS * FIRST_SHARE) / (trials + FIRST_TRIALS)
            for good, trials in zip(stood[:num_slots], reached, strict=False)
        ]
        return known + [FIRST_SHARE] * (num_slots - len(known))

    def learn(self, length: int, draft: Sequence[int], emitted: Sequence[int]) -> None:
        """A draft is over. emitted: what stands in its place, the bonus token included.

        Slots behind the first that differs were not reached. A slot that was not verified is judged
        by the bonus token, which the target drew there with nothing refused: it is equal to the
        draft as often as the draft would have stood.
        """
        reached, stood = [], []
        for token, real in zip(draft, emitted, strict=False):
            reached.append(1.0)
            stood.append(float(token == real))
            if token != real:
                break
        self._reached[length] = _added(self._reached.get(length, []), reached)
        self._stood[length] = _added(self._stood.get(length, []), stood)


def _added(known: Sequence[float], more: Sequence[float]) -> list[float]:
    return [MEMORY * old + new for old, new in zip_longest(known, more, fillvalue=0.0)]
