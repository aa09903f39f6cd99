"""`suffix`: drafts what most often followed the last few tokens, here and in earlier outputs.

SuffixDecoding (Oliaro et al. 2024, section 3). Two tries of suffixes hold every piece of up to
`max_tree_depth` tokens: one of the request's own prompt and output, one of outputs of requests that
have ended. The last 1, 2, ... tokens are looked up in both. Behind each match the likeliest tokens
are followed, with the share of the times that they followed as their probability, no further than
`max_spec_factor` times the match is long, nor below `min_token_prob`. Of all these candidates the
one with the largest sum of probabilities, its expected accepted length, is drafted; as a tree, what
stands behind the same match.

No weights, no draws: a draft follows from committed tokens alone, so each of its tokens has draft
probability 1. Its confidences are how often drafts of such matches and shares stood so far
(`share_history`). Which requests have ended by then decides about drafts, so the batch does: greedy
output is the same whatever is drafted, sampled output has the same law. With `max_cached_tokens=0`
a request drafts from its own tokens alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import HISTORY, ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.earlier_outputs import EarlierOutputs
from dspark_bench.drafters.share_history import Drafted, ShareHistory
from dspark_bench.drafters.suffix_branches import Start, SuffixBranches
from dspark_bench.drafters.suffix_trie import Leaf, Node, SuffixTrie, Text, behind, likeliest
from dspark_bench.models.target import Target

_NOTHING: Final = 0
"""Stands in slots without a draft. Nobody reads it."""
_MOST_DEEP: Final = 256


@dataclass(slots=True)
class _Running:
    """One request: its tokens, the anchor the last of them; how many are its prompt's, 0 where
    nobody says; and whether it has drafted.
    """

    trie: SuffixTrie
    num_prompt: int
    text: Text = field(default_factory=Text)
    has_drafted: bool = False

    @property
    def prompt(self) -> tuple[int, ...]:
        return tuple(self.text.tokens[: self.num_prompt])


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A draft, the sum of its probabilities, and the match behind which it stands."""

    draft: Drafted
    score: float
    start: Start | None


class SuffixDrafter:
    """Keeps the tokens of each request, and outputs of those that have ended."""

    def __init__(
        self,
        target: Target,
        max_tree_depth: int = 24,
        max_spec_factor: float = 1.0,
        min_token_prob: float = 0.1,
        max_cached_tokens: int = 65_536,
    ) -> None:
        """See conf/drafter/suffix.yaml. Raises UsageError."""
        self.check_keys(max_tree_depth, max_spec_factor, min_token_prob, max_cached_tokens)
        self._depth, self._factor = max_tree_depth, max_spec_factor
        self._least, self._room = min_token_prob, max_cached_tokens
        self._ends = frozenset(target.config.eos_token_ids)
        self._vocab_size = target.config.vocab_size
        self._running: dict[int, _Running] = {}
        self._earlier = EarlierOutputs(self._depth, self._room)
        self._open: dict[int, Drafted] = {}
        self._history = ShareHistory()
        self.spec = DrafterSpec(
            "suffix",
            None,
            (),
            has_confidence=True,
            falls_short=True,
            can_branch=True,
            confidence_kind=HISTORY,
        )

    @staticmethod
    def check_keys(
        max_tree_depth: int = 24,
        max_spec_factor: float = 1.0,
        min_token_prob: float = 0.1,
        max_cached_tokens: int = 65_536,
    ) -> None:
        """Raise UsageError for what no key can be."""
        if not 2 <= max_tree_depth <= _MOST_DEEP:
            raise UsageError(
                f"drafter.max_tree_depth is {max_tree_depth}; valid: 2 to {_MOST_DEEP}"
            )
        if not 0 < max_spec_factor < float("inf"):
            raise UsageError(f"drafter.max_spec_factor is {max_spec_factor:g}; valid: above 0")
        if not 0 <= min_token_prob <= 1:
            raise UsageError(f"drafter.min_token_prob is {min_token_prob:g}; valid: 0 to 1")
        if max_cached_tokens < 0:
            raise UsageError(f"drafter.max_cached_tokens is {max_cached_tokens}; valid: 0 or more")

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Forget every request, and all earlier outputs."""
        self._running, self._open = {}, {}
        self._earlier = EarlierOutputs(self._depth, self._room)
        self._history = ShareHistory()

    def extend(self, update: ContextUpdate) -> None:
        """Index the new tokens, anchors among them: at most `max_tree_depth` steps for each.

        A request that begins in the row of another tells that this one has ended.
        """
        tokens, following = update.token_ids.tolist(), update.next_token_ids.tolist()
        prompt_lens = update.prompt_lens or (0,) * len(update.rows)
        at = 0
        spans = zip(update.rows, update.starts, update.counts, prompt_lens, strict=True)
        for row, start, count, num_prompt in spans:
            if start == 0:
                self._retire(row)
                self._running[row] = _Running(SuffixTrie(self._depth), num_prompt)
                self._append(row, tokens[at : at + 1])
            self._append(row, following[at : at + count])
            drafted = self._open.pop(row, None)
            if drafted is not None and start > 0:
                self._history.learn(drafted, following[at : at + count])
            at += count

    def known(self, row: int) -> tuple[int, ...]:
        """Committed tokens of the request in a row, the anchor the last of them."""
        return tuple(self._running[row].text.tokens)

    def propose(self, batch: DraftBatch) -> Proposal:
        """The best candidate for each request, of at most as many tokens as are asked for."""
        found = [
            self._best(row, most).draft
            for row, most in zip(batch.rows, batch.draft_lens, strict=True)
        ]
        self._open.update(zip(batch.rows, found, strict=True))
        width, lens = batch.num_slots, tuple(len(draft.tokens) for draft in found)
        padded = [[*draft.tokens, *[_NOTHING] * (width - len(draft.tokens))] for draft in found]
        own = torch.tensor(padded, device=batch.anchors.device)
        tokens = own if batch.forced is None else batch.forced
        confidence = self._judge(found, batch) if batch.wants_confidence else None
        return Proposal(tokens, None, confidence, lens, certain=own)

    def _judge(self, found: Sequence[Drafted], batch: DraftBatch) -> Tensor:
        """[B, K]: how often slots behind such matches, of such shares, stood."""
        table = [self._history.confidence(draft, batch.num_slots) for draft in found]
        return torch.tensor(table, device=batch.anchors.device)

    def branch(self, batch: DraftBatch) -> SuffixBranches:
        """What followed the match of each request's best candidate."""
        starts = [
            self._best(row, most).start
            for row, most in zip(batch.rows, batch.draft_lens, strict=True)
        ]
        device: torch.device = batch.anchors.device
        return SuffixBranches(starts, self._vocab_size, self._least, self._ends, device)

    def _append(self, row: int, tokens: Sequence[int]) -> None:
        running = self._running[row]
        for token in tokens:
            running.trie.append(running.text, token)

    def _retire(self, row: int) -> None:
        """Keep the output of the request that held a row, unless its prompt is being answered."""
        ended = self._running.pop(row, None)
        if ended is None or not ended.num_prompt or not self._room:
            return
        prompt = ended.prompt
        if all(prompt != other.prompt for other in self._running.values()):
            self._earlier.add(prompt, ended.text.tokens[ended.num_prompt :])

    def _best(self, row: int, most: int) -> _Candidate:
        """The largest sum of probabilities; of equals the longest match, in the own text first."""
        running = self._running[row]
        if not running.has_drafted:
            running.has_drafted = True
            self._earlier.forget(running.prompt)
        best = _Candidate(Drafted((), 0, ()), 0.0, None)
        for length, piece in reversed(self._matches(running.text)):
            room = min(most, int(self._factor * length), self._depth - length)
            candidate = self._follow(piece, length, room)
            if candidate.score > best.score:
                best = candidate
        return best

    def _matches(self, text: Text) -> list[tuple[int, Node | Leaf]]:
        """Each match with its length, by rising length, the own text's last."""
        found: list[tuple[int, Node | Leaf]] = []
        own = text.ends
        for length in range(1, min(self._depth, len(text.tokens)) + 1):
            earlier = self._earlier.trie.find(text.tokens[-length:])
            if earlier is None and length > len(own):
                break
            found += [] if earlier is None else [(length, earlier)]
            found += [(length, own[length - 1])] if length <= len(own) else []
        return found

    def _follow(self, piece: Node | Leaf, length: int, room: int) -> _Candidate:
        """The likeliest token behind a match of this length, and the likeliest behind that, while
        the product stays up.
        """
        tokens: list[int] = []
        shares: list[float] = []
        score, product = 0.0, 1.0
        last: Node | Leaf | None = piece
        while last is not None and len(tokens) < room:
            found = likeliest(last)
            if found is None or product * found[1] < self._least:
                break
            product *= found[1]
            score += product
            tokens.append(found[0])
            shares.append(found[1])
            if found[0] in self._ends:
                break
            last = behind(last, found[0])
        return _Candidate(Drafted(tuple(tokens), length, tuple(shares)), score, Start(piece, room))
