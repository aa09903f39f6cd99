"""Training on a part of the vocabulary: losses by hand, what the target says of the rest."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dspark_bench.training.draft_losses import draft_loss
from dspark_bench.training.drafter_batch import (
    DraftScores,
    DraftTrainingBatch,
    Objective,
    Windows,
    hang_blocks,
)
from dspark_bench.training.drafter_trainer import DrafterRecipe, _anchors, covered_share
from tests import tiny

IDS = torch.tensor([0, 3, 5, 9, 20, 33, 40, 63])


def slots(*rows: tuple[list[float], int, float], missed: bool = True) -> DraftTrainingBatch:
    """Slots of one block over two draft tokens: (target's probabilities, label, weight)."""
    probs = torch.tensor([row[0] for row in rows]).view(1, 1, len(rows), 2)
    labels = torch.tensor([row[1] for row in rows]).view(1, 1, -1)
    weights = torch.tensor([row[2] for row in rows]).view(1, 1, -1)
    rest = 1 - probs.sum(-1) if missed else None
    return DraftTrainingBatch(
        labels[0], torch.zeros(1), labels[0], labels + 7, probs, weights, labels, rest
    )


def logits(*probs: list[float]) -> Tensor:
    return torch.tensor(probs).log().view(1, 1, len(probs), 2)


def test_loss_by_hand_where_a_label_cannot_be_drafted() -> None:
    """Slot 1: label in, 0.2 missed. Slot 2: label outside, 0.6 missed, half the weight."""
    batch = slots(([0.5, 0.3], 0, 1.0), ([0.1, 0.3], -1, 0.5))
    drafted = logits([0.8, 0.2], [0.5, 0.5])
    first, second = 0.3 + 0.1 + 0.2, 0.4 + 0.2 + 0.6
    distance = (1.0 * first + 0.5 * second) / 1.5
    ce = -float(torch.tensor(0.8).log())  # the mean over labels that can be drafted: one
    loss = draft_loss(DraftScores(drafted, None), batch)
    assert float(loss.total) == pytest.approx(0.1 * ce + 0.9 * distance, abs=1e-6)
    assert loss.acceptance.tolist() == pytest.approx([1 - first / 2, 1 - second / 2])


def test_confidence_learns_acceptance_under_the_whole_softmax() -> None:
    batch = slots(([0.5, 0.3], 0, 1.0))
    drafted, said = logits([0.8, 0.2]), torch.tensor(0.4).view(1, 1, 1)
    without = draft_loss(DraftScores(drafted, None), batch).total
    loss = draft_loss(DraftScores(drafted, said), batch)
    accepted, sure = 0.7, float(torch.sigmoid(said))
    bce = -(accepted * torch.tensor(sure).log() + 0.3 * torch.tensor(1 - sure).log())
    assert float(loss.total - without) == pytest.approx(float(bce), abs=1e-6)


def test_soft_loss_by_hand_asks_for_the_rest_of_the_distribution() -> None:
    batch = slots(([0.6, 0.2], -1, 1.0))
    drafted = logits([0.5, 0.5])
    found = draft_loss(DraftScores(drafted, None), batch, Objective.SOFT)
    wanted = -(0.75 * torch.tensor(0.5).log() + 0.25 * torch.tensor(0.5).log())
    assert float(found.total) == pytest.approx(float(wanted), abs=1e-6)
    best = logits([0.75, 0.25])
    assert draft_loss(DraftScores(best, None), batch, Objective.SOFT).total < found.total


def test_nothing_is_learned_from_labels_outside_alone() -> None:
    batch = slots(([0.0, 0.0], -1, 1.0))
    loss = draft_loss(DraftScores(logits([0.5, 0.5]), None), batch)
    assert float(loss.total) == pytest.approx(0.9 * 2.0, abs=1e-6)  # the whole distance, no ce
    assert loss.acceptance.tolist() == [0.0]


def test_the_targets_probabilities_are_of_its_whole_softmax() -> None:
    tokens = torch.randint(1, tiny.VOCAB, (2, 20), generator=torch.Generator().manual_seed(0))
    teacher = tiny.frozen().drafting(IDS)
    anchors = torch.tensor([[4, 9], [9, 2]])
    batch = hang_blocks(teacher, tokens, tiny.LAYERS, anchors, 3, (), 4.0)
    with torch.no_grad():
        probs = torch.softmax(tiny.qwen()(tokens).logits, -1)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        start = int(anchors[row, column])
        wanted = probs[row, start : start + 3]
        assert torch.allclose(batch.target_probs[row, column], wanted[:, IDS], atol=1e-5)
        assert batch.missed is not None and batch.draft_labels is not None
        rest = 1 - wanted[:, IDS].sum(-1)
        assert torch.allclose(batch.missed[row, column], rest, atol=1e-5)
        label = batch.labels[row, column]
        places = [IDS.tolist().index(t) if t in IDS else -1 for t in label.tolist()]
        assert batch.draft_labels[row, column].tolist() == places
    share = covered_share(teacher, [tokens], DrafterRecipe(1, block_tokens=18))
    assert share == pytest.approx(float(probs[:, 1:19][..., IDS].sum(-1).mean()), abs=1e-4)


def test_blocks_hang_on_what_is_to_be_learned_alone() -> None:
    tokens = torch.randint(1, tiny.VOCAB, (2, 12), generator=torch.Generator().manual_seed(0))
    windows = Windows(tokens, (4, 6), (9, 12))
    anchors = torch.tensor([[4, 6, 8], [6, 9, 11]])
    batch = hang_blocks(tiny.frozen(), windows, tiny.LAYERS, anchors, 3, (), 4.0)
    is_counted = (batch.weights > 0).int().tolist()
    assert is_counted == [[[1, 1, 1], [1, 1, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 0], [0, 0, 0]]]
    assert batch.labels[0, 0].tolist() == tokens[0, 5:8].tolist()


def test_padding_behind_a_sequence_changes_nothing() -> None:
    tokens = torch.randint(1, tiny.VOCAB, (1, 12), generator=torch.Generator().manual_seed(0))
    padded = torch.cat([tokens, torch.zeros(1, 5, dtype=torch.long)], dim=1)
    anchors = torch.tensor([[4, 10]])
    plain = hang_blocks(tiny.frozen(), tokens, tiny.LAYERS, anchors, 3, (), 4.0)
    other = Windows(padded, (1,), (12,))
    behind = hang_blocks(tiny.frozen(), other, tiny.LAYERS, anchors, 3, (), 4.0)
    assert torch.equal(plain.weights, behind.weights)
    assert torch.allclose(plain.target_probs, behind.target_probs, atol=1e-5)
    for name in ("ar", "semi_ar_rnn"):
        with torch.no_grad():
            left, right = (tiny.trainable(name).scores(batch).logits for batch in (plain, behind))
        counted = plain.weights > 0
        assert torch.allclose(left[counted], right[counted], atol=1e-4)


def test_anchors_are_different_places_with_a_label_behind() -> None:
    drawn = _anchors(np.random.default_rng(0), 5, 12, 4).tolist()
    assert len(set(drawn)) == 4 and set(drawn) <= set(range(5, 11))
    few = _anchors(np.random.default_rng(0), 5, 8, 4).tolist()
    assert sorted(few) == [5, 6, 7, 7]  # the last one has no label, and so no weight
