"""Target and drafter side by side along recorded token sequences.

For anchors at a fixed stride, the drafter scores the block that really followed, with the recorded
tokens as its prefix; the target's own distributions for the same places come along. Agreement
curves and the exactness checks are sums over these blocks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.sampling import overlap, overlap_certain, token_probs
from dspark_bench.core.types import (
    ContextUpdate,
    DraftBatch,
    Proposal,
    Request,
    SamplingParams,
)
from dspark_bench.engine.long_pass import PIECE_TOKENS, run_along
from dspark_bench.models.shared_cache import share_cache
from dspark_bench.models.target import Target

STRIDE = 4
BATCH = 16

Sequences = Sequence[tuple[Request, tuple[int, ...]]]
"""Requests, each with the output that the target gave."""


@dataclass(frozen=True, slots=True)
class ScoredBlocks:
    """A anchors: tokens [A, K] that followed, target_probs [A, K, V], and what the drafter said.

    places [A]: which of the sequences each anchor lies in; anchors [A]: where in it, prompt and
    output counted from 0; proposal: with `probs` [A, K, V], or with certain tokens.
    """

    places: tuple[int, ...]
    anchors: tuple[int, ...]
    tokens: Tensor
    target_probs: Tensor
    proposal: Proposal

    @property
    def draft_probs(self) -> Tensor:
        """[A, K, V], of a drafter that draws."""
        assert self.proposal.probs is not None
        return self.proposal.probs

    def overlaps(self) -> Tensor:
        """[A, K]: 1 - TV at each slot; 0 where nothing is proposed."""
        if self.proposal.certain is not None:
            found = overlap_certain(self.target_probs, self.proposal.certain)
        else:
            found = overlap(self.target_probs, self.draft_probs)
        return found * self.is_proposed()

    def is_proposed(self) -> Tensor:
        """[A, K]: whether a slot holds a draft."""
        slots = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        lens = self.proposal.draft_lens or (self.tokens.shape[1],) * self.tokens.shape[0]
        return slots < torch.tensor(lens, device=slots.device).unsqueeze(1)


@dataclass(frozen=True, slots=True)
class RecordedText:
    """One sequence with the target's view of it: probs [S, V], features [S, m*D]."""

    tokens: Tensor
    num_prompt: int
    probs: Tensor
    features: Tensor


def score_blocks(
    target: Target,
    drafter: Drafter,
    sequences: Sequences,
    gamma: int,
    sampling: SamplingParams,
    stride: int = STRIDE,
) -> Iterator[ScoredBlocks]:
    """Yield blocks of `gamma` tokens, an anchor every `stride` tokens of the output; outputs too
    short for one block are left out. A block holds the same anchor of up to `BATCH` sequences.

    Greedy sampling is scored at temperature 1, where the distributions are defined. Reallocates the
    drafter's cache.
    """
    if sampling.is_greedy:
        sampling = SamplingParams()
    usable = [place for place, item in enumerate(sequences) if len(item[1]) > gamma]
    for start in range(0, len(usable), BATCH):
        places = usable[start : start + BATCH]
        with torch.inference_mode():
            chosen = [sequences[place] for place in places]
            recorded = [record_text(target, drafter, *text, sampling) for text in chosen]
            allocate_along(target, drafter, recorded, gamma)
            yield from _walk(drafter, recorded, places, gamma, sampling, stride)


def record_text(
    target: Target,
    drafter: Drafter,
    request: Request,
    output: tuple[int, ...],
    sampling: SamplingParams,
) -> RecordedText:
    """The target along prompt and output."""
    tokens = torch.tensor([*request.prompt_tokens, *output], device=target.device)
    seen = run_along(target, tokens, feature_layers=drafter.spec.feature_layers)
    features = seen.logits.new_empty(tokens.shape[0], 0) if seen.features is None else seen.features
    probs = token_probs(seen.logits, sampling)
    return RecordedText(tokens, len(request.prompt_tokens), probs, features)


def allocate_along(
    target: Target, drafter: Drafter, recorded: Sequence[RecordedText], gamma: int
) -> None:
    """Reserve the drafter's cache for these texts, a row each, and blocks of `gamma` behind them.

    One that reads the target's is given a cache in which the texts stand whole: behind an anchor
    it writes what forced tokens, those of the text, have there anyway.
    """
    longest = max(item.tokens.shape[0] for item in recorded) + gamma
    drafter.allocate(len(recorded), longest)
    if not drafter.spec.reads_target_cache:
        return
    cache = target.new_cache(len(recorded), longest)
    for row, item in enumerate(recorded):
        run_along(target, item.tokens, item.tokens.shape[0] - 1, cache=cache, row=row)
    share_cache(drafter, cache)


def _walk(
    drafter: Drafter,
    recorded: Sequence[RecordedText],
    places: Sequence[int],
    gamma: int,
    sampling: SamplingParams,
    stride: int,
) -> Iterator[ScoredBlocks]:
    anchor = [item.num_prompt for item in recorded]
    known = [0] * len(recorded)
    while rows := [
        row for row, item in enumerate(recorded) if anchor[row] + gamma < item.tokens.shape[0]
    ]:
        known = extend_to(drafter, recorded, rows, known, anchor)
        where = tuple(places[row] for row in rows)
        yield _score(drafter, recorded, rows, anchor, where, gamma, sampling)
        for row in rows:
            anchor[row] += stride


def extend_to(
    drafter: Drafter,
    recorded: Sequence[RecordedText],
    rows: Sequence[int],
    known: Sequence[int],
    anchor: Sequence[int],
) -> list[int]:
    """Tell the drafter what lies between `known` and `anchor`, a piece at a time.

    Both are of every recorded text, whatever `rows`. Returns what is known then.
    """
    known = list(known)
    while late := [row for row in rows if known[row] < anchor[row]]:
        until = [min(a + PIECE_TOKENS, b) for a, b in zip(known, anchor, strict=True)]
        drafter.extend(context_update(recorded, late, known, until))
        for row in late:
            known[row] = until[row]
    return known


def context_update(
    recorded: Sequence[RecordedText],
    rows: Sequence[int],
    known: Sequence[int],
    anchor: Sequence[int],
) -> ContextUpdate:
    """What a drafter is told when the tokens from `known` up to `anchor` become context."""
    spans = [(recorded[row], known[row], anchor[row]) for row in rows]
    return ContextUpdate(
        rows=tuple(rows),
        starts=tuple(known[row] for row in rows),
        counts=tuple(anchor[row] - known[row] for row in rows),
        token_ids=torch.cat([item.tokens[a:b] for item, a, b in spans]),
        next_token_ids=torch.cat([item.tokens[a + 1 : b + 1] for item, a, b in spans]),
        features=torch.cat([item.features[a:b] for item, a, b in spans]),
        prompt_lens=tuple(item.num_prompt for item, _, _ in spans),
    )


def _score(
    drafter: Drafter,
    recorded: Sequence[RecordedText],
    rows: Sequence[int],
    anchor: Sequence[int],
    where: tuple[int, ...],
    gamma: int,
    sampling: SamplingParams,
) -> ScoredBlocks:
    table = torch.stack(
        [recorded[row].tokens[anchor[row] : anchor[row] + gamma + 1] for row in rows]
    )
    proposal = drafter.propose(
        DraftBatch(
            rows=tuple(rows),
            context_lens=tuple(anchor[row] for row in rows),
            anchors=table[:, 0],
            draft_lens=(gamma,) * len(rows),
            sampling=sampling,
            uniform=torch.zeros(len(rows), gamma, dtype=torch.float64, device=table.device),
            forced=table[:, 1:],
            target_rows=tuple(rows),
        )
    )
    truth = torch.stack([recorded[r].probs[anchor[r] : anchor[r] + gamma] for r in rows])
    anchors = tuple(anchor[row] for row in rows)
    return ScoredBlocks(where, anchors, table[:, 1:], truth, proposal)
