"""Losses by hand, blocks cut where they should be, exact resume."""

from pathlib import Path

import pytest
import torch

from dspark_bench.training.draft_losses import draft_loss
from dspark_bench.training.drafter_batch import (
    DraftScores,
    DraftTrainingBatch,
    TrainableDrafter,
    hang_blocks,
)
from dspark_bench.training.drafter_trainer import DrafterRecipe, DrafterStep, train_drafters
from tests import tiny


def test_blocks_end_at_the_document_and_at_the_window() -> None:
    tokens = torch.tensor([[5, 6, 7, tiny.EOS, 8, 9, 10, 11]])
    anchors = torch.tensor([[1, 3, 5]])
    batch = hang_blocks(tiny.frozen(), tokens, tiny.LAYERS, anchors, 3, tiny.EOS, 4.0)
    assert batch.labels[0, 0].tolist() == [7, tiny.EOS, 8]
    weights = torch.exp(-torch.arange(3) / 4.0)
    assert torch.allclose(batch.weights[0, 0], weights * torch.tensor([1, 1, 0]))
    assert batch.weights[0, 1].tolist() == [0, 0, 0]  # the anchor itself ends a document
    assert torch.allclose(batch.weights[0, 2], weights * torch.tensor([1, 1, 0]))


def test_target_probabilities_belong_to_the_labels() -> None:
    tokens = torch.randint(1, tiny.VOCAB, (1, 20), generator=torch.Generator().manual_seed(0))
    batch = hang_blocks(tiny.frozen(), tokens, tiny.LAYERS, torch.tensor([[4]]), 3, -1, 4.0)
    with torch.no_grad():
        probs = torch.softmax(tiny.qwen()(tokens).logits[0, 4:7], -1)
    assert torch.allclose(batch.target_probs[0, 0], probs, atol=1e-5)


def test_loss_by_hand() -> None:
    target = torch.tensor([0.5, 0.5]).view(1, 1, 1, 2)
    logits = torch.tensor([0.8, 0.2]).log().view(1, 1, 1, 2)
    labels = torch.zeros(1, 1, 1, dtype=torch.long)
    batch = DraftTrainingBatch(
        labels[0], torch.zeros(1), labels[0], labels, target, torch.ones(1, 1, 1)
    )
    confidence = torch.zeros(1, 1, 1)
    loss = draft_loss(DraftScores(logits, confidence), batch)
    ce, l1, bce = -torch.log(torch.tensor(0.8)), 0.6, torch.log(torch.tensor(2.0))
    assert float(loss.total) == pytest.approx(float(0.1 * ce + 0.9 * l1 + bce), abs=1e-5)
    assert loss.acceptance.tolist() == pytest.approx([0.7])


def test_short_blocks_hang_on_more_anchors() -> None:
    recipe = DrafterRecipe(num_steps=1, block_tokens=256, max_anchors=64)
    counts = {gamma: recipe.num_anchors(gamma, 256) for gamma in (1, 4, 5, 16)}
    assert counts == {1: 64, 4: 64, 5: 51, 16: 16}
    assert recipe.num_anchors(300, 256) == 1
    assert recipe.num_anchors(4, 10) == 8


def train(path: Path, until: int, total: int = 6) -> dict[str, TrainableDrafter]:
    drafters = {name: tiny.trainable(name) for name in ("semi_ar_rnn", "ar")}

    def source(step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(step)
        return torch.randint(1, tiny.VOCAB, (2, 24), generator=generator)

    def stop(step: DrafterStep) -> None:
        if step.step == until:
            raise KeyboardInterrupt

    recipe = DrafterRecipe(num_steps=total, block_tokens=8, max_anchors=3, gammas=(4, 2))
    try:
        train_drafters(tiny.frozen(), drafters, source, recipe, path, stop, 0.0)
    except KeyboardInterrupt:
        return drafters
    return drafters


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole.pt", until=-1)
    train(tmp_path / "cut.pt", until=4)
    resumed = train(tmp_path / "cut.pt", until=-1)
    for name, drafter in whole.items():
        other = resumed[name].module.state_dict()
        for key, weight in drafter.module.state_dict().items():
            assert torch.equal(weight, other[key]), (name, key)


def test_training_moves_every_parameter(tmp_path: Path) -> None:
    before = {name: tiny.trainable(name).module.state_dict() for name in ("semi_ar_rnn", "ar")}
    after = train(tmp_path / "run.pt", until=-1)
    for name, drafter in after.items():
        for key, weight in drafter.module.state_dict().items():
            assert not torch.equal(weight, before[name][key]), (name, key)
