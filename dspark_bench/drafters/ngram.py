"""`ngram`: prompt look-up. Proposes what followed the last few tokens where they stood before.

No weights: any target has this drafter. The longest run of last tokens, from `n_max` down to
`n_min`, that stands earlier in the request's own tokens (prompt and output) is looked up; the
tokens behind its *earliest* place are the draft, up to the newest token at most. That is the place
that transformers' `prompt_lookup_num_tokens` and vLLM's `ngram` take (Saxena 2023, "Prompt lookup
decoding"). Where nothing is found, nothing is proposed.

A draft follows from the tokens before it, so each of its tokens has draft probability 1. Its
confidences are how often drafts behind matches as long as this one stood so far (`match_history`).
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import HISTORY, ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.match_history import MatchHistory
from dspark_bench.models.target import Target

_NOTHING: Final = 0
"""Stands in slots without a draft. Nobody reads it."""


class NgramDrafter:
    """Keeps the tokens of each request and where its n-grams stood first."""

    def __init__(self, target: Target, n_min: int = 2, n_max: int = 4) -> None:
        """n_min, n_max: see conf/drafter/ngram.yaml. Raises UsageError."""
        self.check_keys(n_min, n_max)
        self._sizes = range(n_min, n_max + 1)
        self._ends = frozenset(target.config.eos_token_ids)
        self._texts: dict[int, _Text] = {}
        self._open: dict[int, tuple[int, list[int]]] = {}
        self._history = MatchHistory()
        self.spec = DrafterSpec(
            "ngram", None, (), has_confidence=True, falls_short=True, confidence_kind=HISTORY
        )

    @staticmethod
    def check_keys(n_min: int = 2, n_max: int = 4) -> None:
        """Raise UsageError for lengths that no n-gram has."""
        if n_min < 1:
            raise UsageError(f"drafter.n_min is {n_min}; valid: 1 or more")
        if n_max < n_min:
            raise UsageError(
                f"drafter.n_min is {n_min} and drafter.n_max is {n_max}; valid: n_min up to n_max"
            )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Forget every request. What is kept of one grows with its tokens."""
        self._texts, self._open = {}, {}
        self._history = MatchHistory()

    def extend(self, update: ContextUpdate) -> None:
        """Index the new tokens: so many steps as there are, whatever the context's length."""
        tokens, at = update.token_ids.tolist(), 0
        following = update.next_token_ids.tolist()
        for row, start, count in zip(update.rows, update.starts, update.counts, strict=True):
            if start == 0:
                self._texts[row] = _Text(self._sizes)
            self._texts[row].append(tokens[at : at + count])
            drafted = self._open.pop(row, None)
            if drafted is not None and start > 0:
                self._history.learn(*drafted, following[at : at + count])
            at += count

    def known(self, row: int) -> tuple[int, ...]:
        """Committed tokens of the request in a row, but for the anchor."""
        return tuple(self._texts[row].tokens)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Look up each request's last tokens, the anchor being the last."""
        asked = zip(batch.rows, batch.anchors.tolist(), batch.draft_lens, strict=True)
        matched = [self._texts[row].following(anchor, most) for row, anchor, most in asked]
        found = [self._cut(draft) for _, draft in matched]
        lengths = [length for length, _ in matched]
        self._open.update(zip(batch.rows, zip(lengths, found, strict=True), strict=True))
        width = batch.num_slots
        padded = [draft + [_NOTHING] * (width - len(draft)) for draft in found]
        own = torch.tensor(padded, device=batch.anchors.device)
        tokens = own if batch.forced is None else batch.forced
        confidence = self._judge(lengths, batch) if batch.wants_confidence else None
        return Proposal(tokens, None, confidence, tuple(map(len, found)), certain=own)

    def _judge(self, lengths: Sequence[int], batch: DraftBatch) -> Tensor:
        """[B, K]: how often drafts behind matches of these lengths stood."""
        table = [self._history.confidence(length, batch.num_slots) for length in lengths]
        return torch.tensor(table, device=batch.anchors.device)

    def _cut(self, draft: list[int]) -> list[int]:
        """Without what lies behind an end of text, where no request goes on."""
        end = next((place for place, token in enumerate(draft) if token in self._ends), len(draft))
        return draft[: end + 1]


class _Text:
    """One request's committed tokens. Mutated by `append` alone."""

    def __init__(self, sizes: range) -> None:
        """sizes: of the n-grams that are kept, ascending."""
        self._sizes = sizes
        self.tokens: list[int] = []
        self._behind: dict[tuple[int, ...], int] = {}
        """Where the token behind the first occurrence of each n-gram stands, or will stand."""

    def append(self, tokens: list[int]) -> None:
        """Take in the next tokens."""
        first = len(self.tokens) + 1
        self.tokens.extend(tokens)
        for end in range(first, len(self.tokens) + 1):
            for size in self._sizes:
                if size > end:
                    break
                self._behind.setdefault(tuple(self.tokens[end - size : end]), end)

    def following(self, anchor: int, most: int) -> tuple[int, list[int]]:
        """The length of the longest known n-gram which the anchor ends, and up to `most` tokens
        that followed it; 0 and nothing where none is known.
        """
        longest = self._sizes[-1]
        last = (*self.tokens[max(0, len(self.tokens) + 1 - longest) :], anchor)
        for size in reversed(self._sizes):
            if size > len(last):
                continue
            start = self._behind.get(last[len(last) - size :])
            if start is not None:
                known = self.tokens[start : start + most]
                return size, known if len(known) == most else [*known, anchor]
        return 0, []
