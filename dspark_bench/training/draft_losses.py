"""The drafters' objective: 0.1 CE + 0.9 TV + confidence BCE (DSpark section 3.4).

TV is the unhalved L1 distance, as in the released code; each term is a weighted mean over the valid
slots. The confidence target is the slot's true acceptance probability 1 - L1/2.

A token that cannot be drafted has draft probability 0. All that the target puts on such tokens adds
to the distance; cross entropy skips them as labels, and a soft one asks for the target's
distribution over the others.

Drafters of other authors have their own: see `Objective`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    log_softmax,
    smooth_l1_loss,
)

from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch, Objective

CE_SHARE = 0.1
L1_SHARE = 0.9
SLOT_DECAY = {Objective.HEADS: 0.8, Objective.TOKENS: 1.0}
"""Of the objectives that are cross entropy alone: a slot's weight over that of the one before."""
SOFT_SHARE = 0.1
OUTSIDE = -1
"""Label of a token that cannot be drafted."""


@dataclass(frozen=True)
class DraftLoss:
    """total: scalar to minimise; acceptance [K]: mean 1 - TV of valid slots; counts [K]."""

    total: Tensor
    acceptance: Tensor
    counts: Tensor


def draft_loss(
    scores: DraftScores, batch: DraftTrainingBatch, objective: Objective = Objective.ACCEPTANCE
) -> DraftLoss:
    """Combine the terms over all valid slots."""
    logits = scores.logits.float()
    probs = torch.softmax(logits, dim=-1)
    distance = (probs - batch.target_probs).abs().sum(-1)
    if batch.missed is not None:
        distance = distance + batch.missed
    if objective is Objective.STATES:
        total = _states_loss(scores, batch)
    elif objective is Objective.SOFT:
        total = _mean(_soft_cross_entropy(logits, batch), batch.weights)
    elif objective in SLOT_DECAY:
        total = _cross_entropy(logits, batch, _slot_weights(batch, SLOT_DECAY[objective]))
    else:
        ce = CE_SHARE * _cross_entropy(logits, batch, batch.weights)
        total = ce + L1_SHARE * _mean(distance, batch.weights)
    acceptance = (1 - 0.5 * distance).detach().clamp(0, 1)
    if scores.confidence is not None:
        bce = binary_cross_entropy_with_logits(
            scores.confidence.float(), acceptance, reduction="none"
        )
        total = total + _mean(bce, batch.weights)
    is_valid = (batch.weights > 0).float()
    counts = is_valid.sum((0, 1))
    return DraftLoss(total, (acceptance * is_valid).sum((0, 1)) / counts.clamp(min=1), counts)


def _states_loss(scores: DraftScores, batch: DraftTrainingBatch) -> Tensor:
    """Of guesses made from true states, so no place counts less for being further on."""
    assert scores.taught is not None, "this loss is of drafters that guess states"
    taught, is_valid = scores.taught, (batch.weights > 0).float()
    distance = smooth_l1_loss(taught.guesses.float(), taught.states.float(), reduction="none")
    soft = _soft_cross_entropy(taught.logits.float(), batch)
    return _mean(distance.mean(-1), is_valid) + SOFT_SHARE * _mean(soft, is_valid)


def _slot_weights(batch: DraftTrainingBatch, decay: float) -> Tensor:
    """decay^(k-1) at every valid slot k [N, A, K]."""
    slots = torch.arange(batch.gamma, device=batch.weights.device)
    return decay**slots * (batch.weights > 0)


def _cross_entropy(logits: Tensor, batch: DraftTrainingBatch, weights: Tensor) -> Tensor:
    """Weighted mean over the labels that can be drafted."""
    labels = batch.labels if batch.draft_labels is None else batch.draft_labels
    ce = cross_entropy(
        logits.flatten(0, 2), labels.flatten(), reduction="none", ignore_index=OUTSIDE
    )
    return _mean(ce.view_as(weights), weights * (labels != OUTSIDE))


def _soft_cross_entropy(logits: Tensor, batch: DraftTrainingBatch) -> Tensor:
    """Of the target's distribution over the tokens that can be drafted [N, A, K]."""
    mass = batch.target_probs.sum(-1).clamp(min=1e-6)
    crossed = (batch.target_probs * log_softmax(logits, dim=-1)).sum(-1)
    return -crossed / mass


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (weights * values).sum() / weights.sum().clamp(min=1e-6)
