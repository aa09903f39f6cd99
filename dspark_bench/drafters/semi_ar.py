"""`semi_ar`: DSpark. A parallel backbone, then a light sequential head over its logits.

The backbone costs one pass whatever the draft length; the head adds, slot by slot, what the token
just drawn says about the next. An optional confidence head estimates each slot's conditional
acceptance from the backbone and the *previous* token, never from the token it judges.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.sequential_heads import State, load_head
from dspark_bench.drafters.slot_sampling import draw, stack_probs
from dspark_bench.models.block_backbone import BlockBackbone
from dspark_bench.models.confidence_head import load_confidence
from dspark_bench.models.layers import take
from dspark_bench.models.target import TargetModel
from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.target_features import FrozenTarget


class SemiAutoregressiveDrafter:
    """Reads a DSpark checkpoint with a vanilla, gated or rnn head."""

    def __init__(self, path: str | Path, target: TargetModel, head: str = "checkpoint") -> None:
        """`head`: vanilla, gated, rnn, or `checkpoint` for whatever the files hold."""
        self._backbone, tensors = BlockBackbone.load(Path(path), target)
        config = self._backbone.config
        if config.markov_rank == 0:
            raise CheckpointError(f"{path}: markov_rank is 0; use drafter=parallel for DFlash")
        if head not in ("checkpoint", config.head_type):
            raise CheckpointError(
                f"{path}: drafter.head is {head!r} but the checkpoint holds {config.head_type!r}"
            )
        rank = config.markov_rank
        self._table = take(tensors, "markov_head.markov_w1.weight", config.model.vocab_size, rank)
        self._head = load_head(config, tensors)
        self._confidence = load_confidence(config, tensors)
        self.spec = DrafterSpec(
            "semi_ar", config.max_gamma, config.target_layer_ids, config.has_confidence
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache."""
        self._backbone.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        """Inject newly committed tokens."""
        self._backbone.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slots from left to right, each biased by the one before."""
        hidden = self._backbone.forward(batch)
        base = self._backbone.logits(hidden)
        previous, state = batch.anchors, None
        tokens: list[Tensor] = []
        probs: list[Tensor | None] = []
        embedded: list[Tensor] = []
        for slot in range(batch.num_slots):
            embedded.append(F.embedding(previous, self._table))
            bias, state = self._bias(embedded[-1], hidden[:, slot], state)
            forced = None if batch.forced is None else batch.forced[:, slot]
            previous, slot_probs = draw(
                base[:, slot] + bias, batch.sampling, batch.uniform[:, slot], forced
            )
            tokens.append(previous)
            probs.append(slot_probs)
        return Proposal(
            torch.stack(tokens, dim=1), stack_probs(probs), self._conditional(hidden, embedded)
        )

    def _bias(self, embedded: Tensor, hidden: Tensor, state: State) -> tuple[Tensor, State]:
        return self._head.bias(embedded, hidden, state)

    def _conditional(self, hidden: Tensor, embedded: list[Tensor]) -> Tensor | None:
        """Confidence [B, K]."""
        if self._confidence is None:
            return None
        return self._confidence(hidden, torch.stack(embedded, dim=1))


def trainable(target: FrozenTarget, recipe: BlockRecipe) -> BlockModel:
    """The same architecture as a module to be trained."""
    return BlockModel(target, recipe)
