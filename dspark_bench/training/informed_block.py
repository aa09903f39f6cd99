"""Block drafters that are told what an autoregressive drafter is told, for `make block-inputs`.

DSpark's block reads features of the context and its anchor's token. Eagle3's layer reads, beside
each feature, the token after it, and its query knows the last feature. Each of the two can be given
to a block here, to see what it is worth. The engine runs no checkpoint of this kind.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.drafter_batch import DraftTrainingBatch
from dspark_bench.training.target_features import FrozenTarget

INITIAL_STD = 0.02
NEXT_TOKEN_SCALE = 8.0
LAST_FEATURE_SCALE = 2.0
"""Of what is added, at the start: of the order of what it is added to."""


class NextTokenBlockModel(BlockModel):
    """Every context entry also holds the embedding of the token after it."""

    def __init__(self, target: FrozenTarget, recipe: BlockRecipe) -> None:
        super().__init__(target, recipe)
        self.following = _projection(target.config.hidden_size)

    def _context(self, batch: DraftTrainingBatch) -> Tensor:
        following = torch.cat([batch.tokens[:, 1:], batch.tokens[:, -1:]], dim=1)
        embedded = self._target[0].embed(following)
        known = self.following(rms_norm(embedded, embedded.shape[-1:], eps=1e-6))
        context: Tensor = self.hidden_norm(self.fc(batch.features) + NEXT_TOKEN_SCALE * known)
        return context


class LastFeatureBlockModel(NextTokenBlockModel):
    """Beside that, every slot starts with the context entry before the anchor."""

    def __init__(self, target: FrozenTarget, recipe: BlockRecipe) -> None:
        super().__init__(target, recipe)
        self.start = _projection(target.config.hidden_size)

    def _slots(self, batch: DraftTrainingBatch, context: Tensor, width: int) -> Tensor:
        rows = torch.arange(batch.tokens.shape[0], device=batch.tokens.device)[:, None]
        last = self.start(context[rows, batch.anchors - 1])
        told: Tensor = LAST_FEATURE_SCALE * last.repeat_interleave(width, dim=1)
        return super()._slots(batch, context, width) + told


def _projection(hidden: int) -> nn.Linear:
    projection = nn.Linear(hidden, hidden, bias=False)
    nn.init.normal_(projection.weight, std=INITIAL_STD)
    return projection
