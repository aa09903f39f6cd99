"""`medusa`: heads on the target's last hidden state, one a drafted token (Medusa section 2.1).

The target's pass that gave the anchor left the state h_t of the token before it, from which the
anchor, token t + 1, was drawn. Head i drafts token t + 2 + i from that same state: it knows neither
the anchor nor the drafts before its own, so its distributions are marginals, like a block drafter's
without a sequential head. There is no cache: one state is kept for each request.
"""

from pathlib import Path
from typing import Final

from torch import Tensor

from dspark_bench.core.types import DraftBatch, Proposal
from dspark_bench.drafters.branching import MarginalBranches
from dspark_bench.drafters.last_state import HeadDrafter
from dspark_bench.drafters.slot_sampling import draw, largest_probability
from dspark_bench.models.draft_config import MEDUSA
from dspark_bench.models.target import LoadedTarget
from dspark_bench.training.head_models import HeadRecipe, MedusaModel
from dspark_bench.training.target_features import FrozenTarget


class MedusaDrafter(HeadDrafter):
    """Reads Medusa heads, of the authors or of vLLM."""

    READS: Final = MEDUSA
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        super().__init__("medusa", MEDUSA, path, target)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw every slot from its own head."""
        logits = self._logits(batch)
        tokens, probs = draw(
            logits,
            batch.sampling,
            batch.uniform,
            batch.forced,
            self._heads.vocabulary,
        )
        stand_in = largest_probability(logits, probs) if batch.wants_confidence else None
        return Proposal(tokens, probs, stand_in)

    def branch(self, batch: DraftBatch) -> MarginalBranches:
        """Every head's marginal, whatever stands before it: Medusa's tree."""
        return MarginalBranches(self._logits(batch), batch, self._heads.vocabulary)

    def _logits(self, batch: DraftBatch) -> Tensor:
        """[B, K, U]: of all slots for all requests, since a slot costs a few rows."""
        last = self._states.of(batch.rows)
        return self._heads.logits([self._heads[i].state(last) for i in range(batch.num_slots)])


def trainable(target: FrozenTarget, recipe: HeadRecipe) -> MedusaModel:
    """The same architecture as a module to be trained, under the target's head."""
    return MedusaModel(target, recipe)
