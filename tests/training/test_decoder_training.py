"""The draft model in training: causal, beside others on the same windows, moved in every weight."""

from pathlib import Path

import pytest
import torch

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.draft_decoder import check_decoder_files
from dspark_bench.training.decoder_model import DecoderModel, DecoderRecipe
from dspark_bench.training.drafter_batch import TrainableDrafter, hang_blocks
from dspark_bench.training.drafter_trainer import (
    DrafterRecipe,
    evaluate_drafters,
    save_drafter,
    train_drafters,
)
from dspark_bench.training.eagle_model import EagleModel, EagleRecipe
from tests import tiny

RECIPE = DrafterRecipe(num_steps=4, block_tokens=8, max_anchors=3, gammas=(4, 2))


def model() -> DecoderModel:
    return DecoderModel(tiny.frozen(), DecoderRecipe())


def windows(step: int) -> torch.Tensor:
    return torch.randint(1, tiny.VOCAB, (2, 24), generator=torch.Generator().manual_seed(step))


def train(folder: Path, drafters: dict[str, TrainableDrafter]) -> None:
    train_drafters(tiny.frozen(), drafters, windows, RECIPE, folder / "run.pt", lambda step: None)


def logits(module: DecoderModel, tokens: torch.Tensor, anchor: int, gamma: int) -> torch.Tensor:
    anchors = torch.tensor([[anchor]])
    batch = hang_blocks(tiny.frozen(), tokens, (), anchors, gamma, (), 4.0)
    with torch.no_grad():
        return module.scores(batch).logits[0, 0]


def test_a_slot_sees_the_tokens_before_it_and_none_behind() -> None:
    module, tokens = model(), windows(0)[:1]
    before = logits(module, tokens, 8, 4)
    for changed, first in ((8, 0), (10, 2), (11, 3), (12, 4)):
        other = tokens.clone()
        other[0, changed] = 1 + tokens[0, changed] % (tiny.VOCAB - 1)
        moved = (logits(module, other, 8, 4) - before).abs().amax(-1) > 1e-6
        assert moved.tolist() == [slot >= first for slot in range(4)], changed


def test_a_slot_is_the_same_whatever_block_it_is_in() -> None:
    module, tokens = model(), windows(1)[:1]
    assert torch.allclose(logits(module, tokens, 8, 4)[2], logits(module, tokens, 10, 1)[0])


def test_training_moves_every_weight_and_leaves_those_beside_it_alone(tmp_path: Path) -> None:
    """It reads no layer of the target, so it trains beside drafters that do."""
    own, eagle = model(), EagleModel(tiny.frozen(), EagleRecipe(tiny.LAYERS))
    before = {name: weight.clone() for name, weight in own.state_dict().items()}
    train(tmp_path, {"draft_model": own, "ar": eagle})
    assert all(not torch.equal(weight, before[name]) for name, weight in own.state_dict().items())
    alone = EagleModel(tiny.frozen(), EagleRecipe(tiny.LAYERS))
    (tmp_path / "alone").mkdir()
    train(tmp_path / "alone", {"ar": alone})
    for name, weight in alone.state_dict().items():
        assert torch.equal(weight, eagle.state_dict()[name]), name
    single = model()
    (tmp_path / "single").mkdir()
    train(tmp_path / "single", {"draft_model": single})
    for name, weight in single.state_dict().items():
        assert torch.equal(weight, own.state_dict()[name]), name


def test_training_brings_it_nearer_to_its_target(tmp_path: Path) -> None:
    module, recipe = model(), DrafterRecipe(60, 24, 12, (4, 2))

    def agreement() -> float:
        windows_ = [windows(step) for step in range(4)]
        drafters: dict[str, TrainableDrafter] = {"draft_model": module}
        return sum(evaluate_drafters(tiny.frozen(), drafters, windows_, 2, recipe)["draft_model"])

    start = agreement()
    path = tmp_path / "run.pt"
    train_drafters(
        tiny.frozen(),
        {"draft_model": module},
        lambda n: windows(n % 4),
        recipe,
        path,
        lambda s: None,
    )
    assert agreement() > 1.4 * start


def test_a_part_of_the_vocabulary_has_no_place_in_its_folder(tmp_path: Path) -> None:
    part = tiny.frozen().drafting(torch.arange(8))
    with pytest.raises(ValueError, match="the whole vocabulary"):
        DecoderModel(part, DecoderRecipe())


def test_its_folder_is_a_draft_model_and_no_target(tmp_path: Path) -> None:
    save_drafter(model(), tiny.frozen(), tiny.target_dir(), tmp_path, {})
    check_decoder_files(tmp_path, tiny.target().config, tiny.target_dir())
    with pytest.raises(CheckpointError, match=r"lacks the tensor 'model.embed_tokens.weight'"):
        tiny.TargetModel.load(tmp_path, torch.float32, tiny.CPU)
