"""Drafters of a user's own, for `--config-dir`: named by class path, known to nobody."""

from dataclasses import replace

import torch

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.engine.markov import MarkovBranches
from dspark_bench.models.target import TargetModel


class UniformDrafter:
    """Draws every token uniformly.

    fails_at: a draft length at which it breaks; path: a file in a format of its own.
    """

    def __init__(
        self, target: TargetModel, max_gamma: int, fails_at: int = 0, path: str | None = None
    ) -> None:
        self._vocab_size = target.config.vocab_size
        self._fails_at = fails_at
        self.spec = DrafterSpec("uniform", max_gamma, (), has_confidence=False)

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Keeps nothing."""

    def extend(self, update: ContextUpdate) -> None:
        """Keeps nothing."""

    def propose(self, batch: DraftBatch) -> Proposal:
        if batch.num_slots == self._fails_at:
            raise RuntimeError(f"cannot draft {self._fails_at} tokens")
        tokens = (batch.uniform * self._vocab_size).long()
        if batch.forced is not None:
            tokens = batch.forced
        if batch.sampling.is_greedy:
            return Proposal(tokens, None, None)
        shape = (*tokens.shape, self._vocab_size)
        return Proposal(tokens, torch.full(shape, 1 / self._vocab_size), None)


class EndOfTextDrafter(UniformDrafter):
    """Always drafts end-of-text, and claims to have drawn it from a uniform law."""

    def propose(self, batch: DraftBatch) -> Proposal:
        drafted = super().propose(batch)
        if batch.forced is not None:
            return drafted
        return Proposal(torch.zeros_like(drafted.token_ids), drafted.probs, None)


class SilentLoad:
    """A load that never brings a request."""

    max_concurrency = 1

    def start(self, num_requests: int) -> None:
        pass

    def due(self, now_s: float, num_finished: int) -> int:
        return 0

    def scheduled_s(self, index: int, now_s: float) -> float:
        return now_s

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        return None


class TreeSayingDrafter(UniformDrafter):
    """Announces trees of its own, where trees are grown by a policy."""

    def __init__(self, target: TargetModel, max_gamma: int) -> None:
        super().__init__(target, max_gamma)
        self.spec = replace(self.spec, num_nodes=3)


class SometimesBranchingDrafter(UniformDrafter):
    """Could grow trees with other weights than these."""

    def branch(self, batch: DraftBatch) -> MarkovBranches:
        raise AssertionError("spec.can_branch is false")
