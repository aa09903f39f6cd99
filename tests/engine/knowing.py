"""A drafter that knows what will be said, and hides it among its first choices."""

import torch
from torch import Tensor

from dspark_bench.core.records import RunResult
from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal, Request
from tests import tiny


class KnowingDrafter:
    """Its first or second choice, by turns, is what `known` goes on with, whatever the branch."""

    def __init__(self, requests: list[Request], known: RunResult) -> None:
        outputs = tiny.outputs(known)
        self._texts = [(*r.prompt_tokens, *outputs[r.request_id]) for r in requests]
        self._contexts: dict[int, tuple[int, ...]] = {}
        self.spec = DrafterSpec("knowing", 16, (), False, can_branch=True)

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Nothing to reserve."""

    def extend(self, update: ContextUpdate) -> None:
        """Remember the context of every row."""
        tokens = iter(update.token_ids.tolist())
        for row, start, count in zip(update.rows, update.starts, update.counts, strict=True):
            before = self._contexts.get(row, ())[:start] if start else ()
            self._contexts[row] = (*before, *(next(tokens) for _ in range(count)))

    def propose(self, batch: DraftBatch) -> Proposal:
        """Trees only."""
        raise NotImplementedError

    def branch(self, batch: DraftBatch) -> "KnowingBranches":
        """What follows each anchor."""
        following = []
        for row, anchor in zip(batch.rows, batch.anchors.tolist(), strict=True):
            seen = (*self._contexts[row], anchor)
            text = next((text for text in self._texts if text[: len(seen)] == seen), ())
            rest = text[len(seen) : len(seen) + batch.num_slots]
            following.append((*rest, *(1,) * (batch.num_slots - len(rest))))
        return KnowingBranches(following)


class KnowingBranches:
    """See `core.protocols.Branches`."""

    def __init__(self, following: list[tuple[int, ...]]) -> None:
        self._following = torch.tensor(following)
        self._depth = 0

    @property
    def num_choices(self) -> int:
        """All tokens."""
        return tiny.VOCAB

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        """Geometric weights, the known token in the first or the second place."""
        probs = 0.6 ** torch.arange(1, tiny.VOCAB + 1).float().roll(self._depth).repeat(
            len(requests), 1
        )
        probs = probs / probs.sum(1, keepdim=True)
        known = self._following[requests, self._depth]
        place = self._depth % 2
        ranked = probs.sort(1, descending=True).indices[:, place]
        rows = torch.arange(len(requests))
        own, other = probs[rows, known].clone(), probs[rows, ranked].clone()
        probs[rows, known], probs[rows, ranked] = other, own
        self._depth += 1
        return probs

    def token_ids(self, choices: Tensor) -> Tensor:
        """Themselves."""
        return choices
