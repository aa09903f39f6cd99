"""The drafters' objective: 0.1 CE + 0.9 TV + confidence BCE (DSpark section 3.4).

TV is the unhalved L1 distance, as in the released code; each term is a weighted mean over the valid
slots. The confidence target is the slot's true acceptance probability 1 - L1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch

CE_SHARE = 0.1
L1_SHARE = 0.9


@dataclass(frozen=True)
class DraftLoss:
    """total: scalar to minimise; acceptance [K]: mean 1 - TV of valid slots; counts [K]."""

    total: Tensor
    acceptance: Tensor
    counts: Tensor


def draft_loss(scores: DraftScores, batch: DraftTrainingBatch) -> DraftLoss:
    """Combine the terms over all valid slots."""
    logits = scores.logits.float()
    probs = torch.softmax(logits, dim=-1)
    distance = (probs - batch.target_probs).abs().sum(-1)
    ce = cross_entropy(logits.flatten(0, 2), batch.labels.flatten(), reduction="none")
    mass = batch.weights.sum().clamp(min=1e-6)
    total = (batch.weights * (CE_SHARE * ce.view_as(distance) + L1_SHARE * distance)).sum() / mass
    acceptance = (1 - 0.5 * distance).detach().clamp(0, 1)
    if scores.confidence is not None:
        bce = binary_cross_entropy_with_logits(
            scores.confidence.float(), acceptance, reduction="none"
        )
        total = total + (batch.weights * bce).sum() / mass
    is_valid = (batch.weights > 0).float()
    counts = is_valid.sum((0, 1))
    return DraftLoss(total, (acceptance * is_valid).sum((0, 1)) / counts.clamp(min=1), counts)
