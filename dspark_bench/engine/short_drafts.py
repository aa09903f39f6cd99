"""Drafts that are shorter than was asked for: what the engine makes of them, and filling them up.

A drafter that copies from the text at hand finds less than it is asked for, or nothing. The cycle
then verifies what there is, down to the anchor alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.shared_cache import share_cache


def settle(
    proposal: Proposal | None, asked: Sequence[int]
) -> tuple[Proposal | None, Sequence[int]]:
    """The proposal without slots that nobody fills, and the draft length of every request.

    asked: of all requests, those with drafts first. No proposal is left where nothing was found.
    """
    if proposal is None or proposal.draft_lens is None:
        return proposal, asked
    found = proposal.draft_lens
    width = max(found)
    lens = [*found, *asked[len(found) :]]
    if width == 0:
        return None, lens
    return _narrowed(proposal, width), lens


def _narrowed(proposal: Proposal, width: int) -> Proposal:
    if width == proposal.token_ids.shape[1]:
        return proposal

    def cut(table: Tensor | None) -> Tensor | None:
        return None if table is None else table[:, :width]

    return replace(
        proposal,
        token_ids=proposal.token_ids[:, :width],
        probs=cut(proposal.probs),
        confidence=cut(proposal.confidence),
        certain=cut(proposal.certain),
        survival=cut(proposal.survival),
    )


def always_full(drafter: Drafter | None) -> Drafter | None:
    """A drafter whose passes have the width that was asked for: itself, unless it falls short."""
    is_short = drafter is not None and drafter.spec.falls_short
    return FilledDrafts(drafter) if drafter is not None and is_short else drafter


class FilledDrafts:
    """A drafter whose short drafts are filled up with the anchor, so that passes of every width can
    be timed. What it emits is for nobody.
    """

    def __init__(self, drafter: Drafter) -> None:
        self._drafter = drafter

    @property
    def spec(self) -> DrafterSpec:
        """The drafter's own."""
        return self._drafter.spec

    def allocate(self, num_rows: int, max_len: int) -> None:
        """See `Drafter`."""
        self._drafter.allocate(num_rows, max_len)

    def share(self, cache: KVCache) -> None:
        """See `models.shared_cache.CacheReader`."""
        share_cache(self._drafter, cache)

    def extend(self, update: ContextUpdate) -> None:
        """See `Drafter`."""
        self._drafter.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """As many tokens as were asked for."""
        proposal = self._drafter.propose(batch)
        if proposal.draft_lens is None:
            return proposal
        lens = torch.tensor(proposal.draft_lens, device=batch.anchors.device).unsqueeze(1)
        is_empty = torch.arange(batch.num_slots, device=lens.device) >= lens
        filling = batch.anchors.unsqueeze(1).expand_as(is_empty)
        own = proposal.token_ids if proposal.certain is None else proposal.certain
        certain = torch.where(is_empty, filling, own)
        tokens = certain if batch.forced is None else batch.forced
        return Proposal(tokens, None, None, certain=certain)
