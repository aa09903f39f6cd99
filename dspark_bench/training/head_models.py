"""Trainable heads on the target's last hidden state: Medusa and Hydra, under the target's own head.

The block of anchor P hangs on the state of token P - 1, the newest that a drafter has when P is its
anchor: head i learns token P + 1 + i, two more than the state's own place plus i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from dspark_bench.core.features import FINAL_NORM
from dspark_bench.training.draft_modules import initialise
from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch, Objective
from dspark_bench.training.target_features import FrozenTarget


@dataclass(frozen=True)
class HeadRecipe:
    """num_heads: drafted tokens; num_blocks: of each head."""

    num_heads: int
    num_blocks: int = 1
    seed: int = 0


class BlockModule(nn.Module):
    """residual(x) + silu(linear(x)), where the residual is x unless the block narrows its input."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, hidden)
        self.res_connection = nn.Identity() if width == hidden else nn.Linear(width, hidden)

    def start(self, hidden: int) -> None:
        """Begin as the target's own state: a zero matrix, and a residual that passes it on."""
        nn.init.zeros_(self.linear.weight)
        if isinstance(self.res_connection, nn.Linear):
            with torch.no_grad():
                self.res_connection.weight[:, :hidden] += torch.eye(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., D]."""
        out: Tensor = self.res_connection(x) + silu(self.linear(x))
        return out


class _HeadModel:
    """What the two have in common."""

    def __init__(self, target: FrozenTarget, recipe: HeadRecipe, is_grounded: bool) -> None:
        hidden = target.config.hidden_size
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        heads = []
        for head in range(recipe.num_heads):
            widths = [hidden * (head + 2 if is_grounded else 1)]
            widths += [hidden] * (recipe.num_blocks - 1)
            heads.append(nn.ModuleList(BlockModule(hidden, width) for width in widths))
        self.heads = nn.ModuleList(heads)
        initialise(self.heads)
        for module in self.heads.modules():
            if isinstance(module, BlockModule):
                module.start(hidden)
        self._target = target

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """What the target's head reads."""
        return (FINAL_NORM,)

    @property
    def max_gamma(self) -> int:
        """A head for each token."""
        return self.recipe.num_heads

    @property
    def repeats_target(self) -> bool:
        """The authors' files say next to nothing."""
        return False

    def _state(self, head: int, x: Tensor) -> Tensor:
        blocks = self.heads[head]
        assert isinstance(blocks, nn.ModuleList)
        for block in blocks:
            x = block(x)
        return x

    def _last(self, batch: DraftTrainingBatch) -> Tensor:
        """The state before each anchor [N, A, D]."""
        rows = torch.arange(batch.tokens.shape[0], device=batch.tokens.device)[:, None]
        return batch.features[rows, batch.anchors - 1]


class MedusaModel(_HeadModel):
    """Heads that read the state alone."""

    def __init__(self, target: FrozenTarget, recipe: HeadRecipe) -> None:
        super().__init__(target, recipe, is_grounded=False)

    @property
    def module(self) -> nn.Module:
        """The parameters, named `{head}.{block}.linear.*`."""
        return self.heads

    @property
    def objective(self) -> Objective:
        """Medusa's."""
        return Objective.HEADS

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Logits [N, A, K, U]."""
        last = self._last(batch)
        states = torch.stack([self._state(i, last) for i in range(batch.gamma)], dim=2)
        return DraftScores(self._target.draft_logits(states), None)

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields as the authors write them."""
        recipe = self.recipe
        return {"medusa_num_heads": recipe.num_heads, "medusa_num_layers": recipe.num_blocks}


class HydraModel(_HeadModel):
    """Heads that also read the tokens before the one they draft."""

    def __init__(self, target: FrozenTarget, recipe: HeadRecipe) -> None:
        super().__init__(target, recipe, is_grounded=True)

    @property
    def module(self) -> nn.Module:
        """The parameters, named `hydra_mlp.{head}.{block}.*`."""
        return nn.ModuleDict({"hydra_mlp": self.heads})

    @property
    def objective(self) -> Objective:
        """Hydra's: of the tokens that came, every head alike."""
        return Objective.TOKENS

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Teacher-forced logits [N, A, K, U]."""
        target = self._target
        rows = torch.arange(batch.tokens.shape[0], device=batch.tokens.device)[:, None]
        anchors = batch.tokens[rows, batch.anchors].unsqueeze(-1)
        seen = target.embed(torch.cat([anchors, batch.labels[..., :-1]], dim=-1))
        inputs, states = self._last(batch), []
        for head in range(batch.gamma):
            inputs = torch.cat([inputs, seen[:, :, head]], dim=-1)
            states.append(self._state(head, inputs))
        return DraftScores(target.draft_logits(torch.stack(states, dim=2)), None)

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields as the authors write them."""
        return {
            "hydra_num_heads": self.recipe.num_heads,
            "hydra_num_layers": self.recipe.num_blocks,
            "hydra_head_arch": "mlp",
            "grounded_heads": True,
            "hidden_state_offset": 0,
        }
