"""What a trainable drafter is given at each step, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dspark_bench.training.target_features import FrozenTarget


@dataclass(frozen=True)
class DraftTrainingBatch:
    """Sequences with draft blocks hung on them.

    tokens [N, S]; features [N, S, m*D]; anchors [N, A]: positions of anchor tokens;
    labels [N, A, K]: the tokens that follow each anchor; target_probs [N, A, K, V]: the target's
    distribution of each label at temperature 1; weights [N, A, K]: position weight, 0 where a
    label lies beyond the sequence or its document's end.
    """

    tokens: Tensor
    features: Tensor
    anchors: Tensor
    labels: Tensor
    target_probs: Tensor
    weights: Tensor

    @property
    def gamma(self) -> int:
        """K."""
        return self.labels.shape[-1]


@dataclass(frozen=True)
class DraftScores:
    """A drafter's teacher-forced output: logits [N, A, K, V], confidence logits [N, A, K]."""

    logits: Tensor
    confidence: Tensor | None


class TrainableDrafter(Protocol):
    """A module whose parameter names are the keys of its checkpoint."""

    @property
    def module(self) -> nn.Module:
        """The parameters."""
        ...

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """Target layers it reads."""
        ...

    @property
    def max_gamma(self) -> int:
        """Longest block it is trained for."""
        ...

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Teacher-forced logits and confidences."""
        ...

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields of its `config.json` beside the target's own."""
        ...


def hang_blocks(
    target: FrozenTarget,
    tokens: Tensor,
    layers: tuple[int, ...],
    anchors: Tensor,
    gamma: int,
    eos_token_ids: tuple[int, ...],
    decay: float,
) -> DraftTrainingBatch:
    """Run the target over tokens [N, S] and cut a block of `gamma` labels behind each anchor.

    anchors [N, A] lie in 1..S-2. Slot k (1-based) is weighted exp(-(k-1)/decay); nothing that
    follows an end of sequence counts.
    """
    teacher = target.read(tokens, layers)
    offsets = torch.arange(gamma, device=tokens.device)
    places = anchors.unsqueeze(-1) + offsets
    last_place = tokens.shape[1] - 2
    is_inside = places <= last_place
    places = places.clamp(max=last_place)
    rows = torch.arange(tokens.shape[0], device=tokens.device)[:, None, None]
    labels = tokens[rows, places + 1]
    probs = torch.softmax(target.logits(teacher.last[rows, places]).float(), dim=-1)
    ends = torch.tensor(eos_token_ids, dtype=tokens.dtype, device=tokens.device)
    goes_on = ~torch.isin(labels[..., :-1], ends)
    is_open = torch.cat([torch.ones_like(labels[..., :1]), goes_on.long()], dim=-1).cumprod(-1)
    starts_open = ~torch.isin(tokens[rows[..., 0], anchors], ends).unsqueeze(-1)
    weights = torch.exp(-offsets / decay) * (is_inside & starts_open) * is_open
    return DraftTrainingBatch(tokens, teacher.features, anchors, labels, probs, weights)
