"""What a cycle asks of its drafter, and what it tells it afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import DraftBatch, Proposal, SamplingParams
from dspark_bench.engine.batch import VerifyBatch
from dspark_bench.engine.commit import Commit
from dspark_bench.engine.givens import Givens
from dspark_bench.engine.plugin_checks import check_proposal
from dspark_bench.engine.state import ActiveRequest


@dataclass(frozen=True, slots=True)
class Drafting:
    """A drafter, or none, as its engine uses it.

    num_draws: random numbers that a request's tree may need; says_its_own: it drafts freely even
    along a record; wants_confidence: confidences are read.
    """

    drafter: Drafter | None
    sampling: SamplingParams
    num_draws: int
    device: torch.device
    says_its_own: bool
    wants_confidence: bool

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """Layers of the target that the drafter reads."""
        return () if self.drafter is None else self.drafter.spec.feature_layers

    def propose(
        self, states: Sequence[ActiveRequest], draft_lens: Sequence[int], givens: Givens
    ) -> Proposal | None:
        """Drafts, for the requests that come first; None if no draft is asked for. Along a record
        the drafter scores what is on it, unless it says its own.
        """
        lens = tuple(length for length in draft_lens if length > 0)
        if self.drafter is None or not lens:
            return None
        chosen = states[: len(lens)]
        num_draws = self.num_draws if self.drafter.spec.draws_nodes else max(lens)
        noise = givens.noise.draft[: len(lens), :num_draws]
        forced = None
        if givens.recorded is not None and not self.says_its_own:
            forced = givens.recorded.token_ids[: len(lens), : max(lens)]
        batch = DraftBatch(
            rows=tuple(state.draft_row for state in chosen),
            context_lens=tuple(state.context_len for state in chosen),
            anchors=torch.tensor([state.anchor for state in chosen], device=self.device),
            draft_lens=lens,
            sampling=self.sampling,
            uniform=torch.from_numpy(noise).to(self.device),
            forced=forced,
            target_rows=tuple(state.row for state in chosen),
            wants_confidence=self.wants_confidence,
        )
        proposal = self.drafter.propose(batch)
        check_proposal(self.drafter, proposal, batch)
        return proposal

    def draft_again(
        self, states: Sequence[ActiveRequest], lens: Sequence[int], givens: Givens
    ) -> None:
        """Spend the time that drafting `lens` tokens takes; the drafts at hand stay."""
        chosen = [place for place, length in enumerate(lens) if length > 0]
        self.propose([states[i] for i in chosen], [lens[i] for i in chosen], givens.of(chosen))

    def extend(self, commit: Commit, batch: VerifyBatch, features: Tensor | None) -> None:
        """Give the drafter the new context of the requests that go on. features [T, m*D]."""
        if self.drafter is None:
            return
        update = commit.context_update(batch, features)
        if update is not None:
            self.drafter.extend(update)
