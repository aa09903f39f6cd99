"""`semi_ar`: DSpark. A parallel backbone, then a light sequential head over its logits.

The backbone costs one pass whatever the draft length; the head adds, slot by slot, what the token
just drawn says about the next. An optional confidence head estimates each slot's conditional
acceptance from the backbone and the *previous* token, never from the token it judges.
"""

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.sequential_heads import State, load_head, load_rows
from dspark_bench.drafters.slot_sampling import draw, stack_probs
from dspark_bench.models.block_backbone import BlockBackbone
from dspark_bench.models.confidence_head import load_confidence
from dspark_bench.models.draft_config import BLOCK_ARCHITECTURES
from dspark_bench.models.target import TargetModel
from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.target_features import FrozenTarget


class SemiAutoregressiveDrafter:
    """Reads a DSpark checkpoint with a vanilla, gated or rnn head."""

    READS: Final = BLOCK_ARCHITECTURES
    """Architectures that its checkpoints may name."""

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
        self._rows = load_rows(config, tensors)
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
        state: State = None
        tokens = [batch.anchors]
        probs: list[Tensor | None] = []
        for slot in range(batch.num_slots):
            bias, state = self._head.bias(tokens[-1], hidden[:, slot], state)
            forced = None if batch.forced is None else batch.forced[:, slot]
            token, slot_probs = draw(
                base[:, slot] + bias, batch.sampling, batch.uniform[:, slot], forced
            )
            tokens.append(token)
            probs.append(slot_probs)
        previous = torch.stack(tokens[:-1], dim=1)
        return Proposal(
            torch.stack(tokens[1:], dim=1), stack_probs(probs), self._judge(hidden, previous)
        )

    def _judge(self, hidden: Tensor, previous: Tensor) -> Tensor | None:
        """Confidence [B, K] from hidden [B, K, D] and the tokens [B, K] before each slot."""
        if self._confidence is None:
            return None
        return self._confidence(hidden, F.embedding(previous, self._rows))


def trainable(target: FrozenTarget, recipe: BlockRecipe) -> BlockModel:
    """The same architecture as a module to be trained."""
    return BlockModel(target, recipe)
