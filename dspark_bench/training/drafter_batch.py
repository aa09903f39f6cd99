"""What a trainable drafter is given at each step, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dspark_bench.core.features import EMBEDDING_OUTPUT
from dspark_bench.training.target_features import FrozenTarget, TeacherProbs


@dataclass(frozen=True)
class Windows:
    """Sequences to train on: tokens [N, S]; draft blocks hang on the part of each that is to be
    learned, from position firsts [N] up to before ends [N]. What lies behind it is padding.
    """

    tokens: Tensor
    firsts: tuple[int, ...]
    ends: tuple[int, ...]


def whole_windows(tokens: Tensor) -> Windows:
    """All of tokens [N, S], but the first one, before which there is no context."""
    size, length = tokens.shape
    return Windows(tokens, (1,) * size, (length,) * size)


@dataclass(frozen=True)
class DraftTrainingBatch:
    """Sequences with draft blocks hung on them.

    tokens [N, S]; features [N, S, m*D]; anchors [N, A]: positions of anchor tokens;
    labels [N, A, K]: the tokens that follow each anchor; target_probs [N, A, K, U]: the target's
    distribution of each label at temperature 1, of the tokens that can be drafted;
    weights [N, A, K]: position weight, 0 where a label lies beyond the sequence or its document's
    end. Where tokens cannot be drafted: draft_labels [N, A, K], their draft tokens or -1, and
    missed [N, A, K], the target's mass on such tokens.
    """

    tokens: Tensor
    features: Tensor
    anchors: Tensor
    labels: Tensor
    target_probs: Tensor
    weights: Tensor
    draft_labels: Tensor | None = None
    missed: Tensor | None = None

    @property
    def gamma(self) -> int:
        """K."""
        return self.labels.shape[-1]


@dataclass(frozen=True)
class GuessedStates:
    """What a drafter makes of true states: guesses of the next ones [N, A, K, D], those that came
    [N, A, K, D], and the logits of the guesses [N, A, K, U].
    """

    guesses: Tensor
    states: Tensor
    logits: Tensor


@dataclass(frozen=True)
class DraftScores:
    """A drafter's teacher-forced output: logits [N, A, K, U], confidence logits [N, A, K]; taught:
    what it learns from, where that is something else.
    """

    logits: Tensor
    confidence: Tensor | None
    taught: GuessedStates | None = None


class Objective(Enum):
    """What a drafter's loss is made of, beside the confidence head's.

    ACCEPTANCE: 0.1 cross entropy of the tokens that came, 0.9 distance to the target's distribution
    (DSpark section 3.4). SOFT: cross entropy of the target's distribution (EAGLE-3). STATES: smooth
    L1 distance to the target's next state and 0.1 of SOFT, every place alike (EAGLE section 4.2).
    HEADS: cross entropy of the tokens that came, each slot counting 0.8 of the one before (Medusa
    section 2.2). TOKENS: the same with all slots alike (Hydra section 3, DeepSeek-V3 section 2.2).
    """

    ACCEPTANCE = "acceptance"
    SOFT = "soft"
    HEADS = "heads"
    TOKENS = "tokens"
    STATES = "states"


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

    @property
    def objective(self) -> Objective:
        """What its loss is made of."""
        ...

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Teacher-forced logits and confidences, of a batch with its own features and no more slots
        than it drafts (`own_part`).
        """
        ...

    @property
    def repeats_target(self) -> bool:
        """Whether its `config.json` holds the target's fields too, as DeepSpec's does."""
        ...

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields of its `config.json`."""
        ...


def layers_read(drafters: Iterable[TrainableDrafter]) -> tuple[int, ...]:
    """The target layers that any of the drafters reads, each once."""
    return tuple(dict.fromkeys(layer for one in drafters for layer in _layers_of(one)))


def _layers_of(drafter: TrainableDrafter) -> tuple[int, ...]:
    """What is read for a drafter: something even for one that reads nothing."""
    return drafter.feature_layers or (EMBEDDING_OUTPUT,)


def own_part(
    batch: DraftTrainingBatch, layers: tuple[int, ...], drafter: TrainableDrafter
) -> DraftTrainingBatch:
    """A drafter's part of a batch whose features are those of `layers`: those that it reads, in its
    order, and the slots up to its `max_gamma`. The batch itself if that is all of it.
    """
    own, gamma = _layers_of(drafter), min(batch.gamma, drafter.max_gamma)
    if own != layers:
        parts = batch.features.chunk(len(layers), dim=-1)
        features = torch.cat([parts[layers.index(layer)] for layer in own], dim=-1)
        batch = replace(batch, features=features)
    if gamma == batch.gamma:
        return batch
    labels, missed = batch.draft_labels, batch.missed
    return replace(
        batch,
        labels=batch.labels[..., :gamma],
        target_probs=batch.target_probs[..., :gamma, :],
        weights=batch.weights[..., :gamma],
        draft_labels=None if labels is None else labels[..., :gamma],
        missed=None if missed is None else missed[..., :gamma],
    )


def hang_blocks(
    target: FrozenTarget,
    tokens: Tensor | Windows,
    layers: tuple[int, ...],
    anchors: Tensor,
    gamma: int,
    eos_token_ids: tuple[int, ...],
    decay: float,
) -> DraftTrainingBatch:
    """Run the target over tokens [N, S] and cut a block of `gamma` labels behind each anchor.

    anchors [N, A] lie in 1..S-2. Slot k (1-based) is weighted exp(-(k-1)/decay); nothing that
    follows an end of sequence, or the end of what is to be learned, counts.
    """
    windows = tokens if isinstance(tokens, Windows) else whole_windows(tokens)
    tokens = windows.tokens
    teacher = target.read(tokens, layers)
    offsets = torch.arange(gamma, device=tokens.device)
    places = anchors.unsqueeze(-1) + offsets
    last_places = torch.tensor(windows.ends, device=tokens.device)[:, None, None] - 2
    is_inside = places <= last_places
    places = places.minimum(last_places)
    rows = torch.arange(tokens.shape[0], device=tokens.device)[:, None, None]
    labels = tokens[rows, places + 1]
    taught = _taught(target, teacher.last, places)
    ends = torch.tensor(eos_token_ids, dtype=tokens.dtype, device=tokens.device)
    goes_on = ~torch.isin(labels[..., :-1], ends)
    is_open = torch.cat([torch.ones_like(labels[..., :1]), goes_on.long()], dim=-1).cumprod(-1)
    starts_open = ~torch.isin(tokens[rows[..., 0], anchors], ends).unsqueeze(-1)
    weights = torch.exp(-offsets / decay) * (is_inside & starts_open) * is_open
    return DraftTrainingBatch(
        tokens,
        teacher.features,
        anchors,
        labels,
        taught.probs,
        weights,
        None if target.token_ids is None else target.draft_labels(labels),
        None if target.token_ids is None else taught.missed,
    )


def _taught(target: FrozenTarget, last: Tensor, places: Tensor) -> TeacherProbs:
    """Distributions at places [N, A, K] of last [N, S, D], each place computed once."""
    size, length, _ = last.shape
    rows = torch.arange(size, device=last.device)[:, None, None]
    found, which = (rows * length + places).unique(return_inverse=True)
    each = target.probs(last.flatten(0, 1)[found])
    return TeacherProbs(each.probs[which], each.missed[which])
