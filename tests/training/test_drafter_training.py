"""Losses by hand, blocks cut where they should be, exact resume."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dspark_bench.core.features import EMBEDDING_OUTPUT, FINAL_NORM
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.draft_losses import draft_loss
from dspark_bench.training.drafter_batch import (
    DraftScores,
    DraftTrainingBatch,
    GuessedStates,
    Objective,
    TrainableDrafter,
    hang_blocks,
    layers_read,
    own_part,
)
from dspark_bench.training.drafter_trainer import (
    DrafterRecipe,
    DrafterStep,
    evaluate_drafters,
    train_drafters,
)
from dspark_bench.training.informed_block import LastFeatureBlockModel, NextTokenBlockModel
from tests import tiny


def test_blocks_end_at_the_document_and_at_the_window() -> None:
    tokens = torch.tensor([[5, 6, 7, tiny.EOS, 8, 9, 10, 11]])
    anchors = torch.tensor([[1, 3, 5]])
    batch = hang_blocks(tiny.frozen(), tokens, tiny.LAYERS, anchors, 3, (tiny.EOS,), 4.0)
    assert batch.labels[0, 0].tolist() == [7, tiny.EOS, 8]
    weights = torch.exp(-torch.arange(3) / 4.0)
    assert torch.allclose(batch.weights[0, 0], weights * torch.tensor([1, 1, 0]))
    assert batch.weights[0, 1].tolist() == [0, 0, 0]  # the anchor itself ends a document
    assert torch.allclose(batch.weights[0, 2], weights * torch.tensor([1, 1, 0]))


def test_target_probabilities_belong_to_the_labels() -> None:
    tokens = torch.randint(1, tiny.VOCAB, (1, 20), generator=torch.Generator().manual_seed(0))
    batch = hang_blocks(tiny.frozen(), tokens, tiny.LAYERS, torch.tensor([[4]]), 3, (), 4.0)
    with torch.no_grad():
        probs = torch.softmax(tiny.qwen()(tokens).logits[0, 4:7], -1)
    assert torch.allclose(batch.target_probs[0, 0], probs, atol=1e-5)


def test_a_teacher_shows_what_its_engine_would() -> None:
    tokens = torch.randint(1, tiny.VOCAB, (1, 20), generator=torch.Generator().manual_seed(1))
    target = tiny.target(True, Wanted.TORCH)
    last = target.config.num_hidden_layers - 1
    layers = (EMBEDDING_OUTPUT, 1, last, FINAL_NORM)
    cache = target.new_cache(1, 20)
    with torch.inference_mode():
        plan = plan_attention([Span(0, 0, 20)], cache)
        served = target.forward(tokens[0], plan, cache, None, layers)
    taught = tiny.frozen().read(tokens, layers)
    torch.testing.assert_close(taught.features[0], served.features, atol=1e-4, rtol=1e-4)


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


def random_tokens(step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randint(1, tiny.VOCAB, (2, 24), generator=generator)


def train(path: Path, until: int, total: int = 6) -> dict[str, TrainableDrafter]:
    drafters = {name: tiny.trainable(name) for name in ("semi_ar_rnn", "ar")}

    def stop(step: DrafterStep) -> None:
        if step.step == until:
            raise KeyboardInterrupt

    recipe = DrafterRecipe(num_steps=total, block_tokens=8, max_anchors=3, gammas=(4, 2))
    try:
        train_drafters(tiny.frozen(), drafters, random_tokens, recipe, path, stop, 0.0)
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


@pytest.mark.parametrize("kind", [BlockModel, NextTokenBlockModel, LastFeatureBlockModel])
def test_a_block_knows_nothing_after_its_anchor(kind: type[BlockModel]) -> None:
    model = kind(tiny.frozen(), BlockRecipe(tiny.LAYERS, 1, 2, 16, 0))
    tokens = torch.randint(2, tiny.VOCAB, (1, 20), generator=torch.Generator().manual_seed(3))
    later, last, earlier = tokens.clone(), tokens.clone(), tokens.clone()
    later[0, 9:] = tokens[0, 9:].flip(0)
    last[0, 8] = 2 + (tokens[0, 8] - 1) % (tiny.VOCAB - 2)
    earlier[0, 6] = 2 + (tokens[0, 6] - 1) % (tiny.VOCAB - 2)
    anchors = torch.tensor([[8]])

    def logits(changed: torch.Tensor) -> torch.Tensor:
        batch = hang_blocks(tiny.frozen(), changed, tiny.LAYERS, anchors, 3, (), 4.0)
        with torch.no_grad():
            return model.scores(batch).logits

    assert torch.equal(logits(later), logits(tokens))
    assert not torch.allclose(logits(last), logits(tokens), atol=1e-4)
    assert not torch.allclose(logits(earlier), logits(tokens), atol=1e-4)


def test_context_entries_hold_the_token_after_them() -> None:
    plain, told = (
        kind(tiny.frozen(), BlockRecipe(tiny.LAYERS, 1, 2, 16, 0))
        for kind in (BlockModel, NextTokenBlockModel)
    )
    tokens = torch.randint(2, tiny.VOCAB, (1, 12), generator=torch.Generator().manual_seed(4))
    batch = hang_blocks(tiny.frozen(), tokens, tiny.LAYERS, torch.tensor([[8]]), 3, (), 4.0)
    swapped = batch.tokens.clone()
    swapped[0, 5] = 2 + (swapped[0, 5] - 1) % (tiny.VOCAB - 2)
    other = replace(batch, tokens=swapped)  # the features stay
    with torch.no_grad():
        assert torch.equal(plain.scores(batch).logits, plain.scores(other).logits)
        assert not torch.allclose(told.scores(batch).logits, told.scores(other).logits, atol=1e-4)


def test_slots_start_from_the_entry_before_the_anchor() -> None:
    """With attention silenced, a block knows only what its slots start from."""
    tokens = torch.randint(2, tiny.VOCAB, (1, 12), generator=torch.Generator().manual_seed(4))
    batch = hang_blocks(tiny.frozen(), tokens, tiny.LAYERS, torch.tensor([[8]]), 3, (), 4.0)

    def reads(kind: type[BlockModel], place: int) -> bool:
        model = kind(tiny.frozen(), BlockRecipe(tiny.LAYERS, 1, 2, 16, 0))
        for name, weight in model.named_parameters():
            if "o_proj" in name:
                torch.nn.init.zeros_(weight)
        features = batch.features.clone()
        features[0, place] = features[0, place].flip(0)
        with torch.no_grad():
            before, after = (
                model.scores(b).logits for b in (batch, replace(batch, features=features))
            )
        return not torch.equal(before, after)

    assert [reads(LastFeatureBlockModel, place) for place in (6, 7, 8)] == [False, True, False]
    assert not reads(NextTokenBlockModel, 7)


def test_drafters_that_read_different_states_train_as_they_would_alone(tmp_path: Path) -> None:
    """One pass of the teacher; each takes its own features from it, and its own number of slots."""
    names = ("ar", "medusa", "hydra", "mtp", "parallel")

    def trained(*chosen: str) -> dict[str, TrainableDrafter]:
        drafters = {name: tiny.trainable(name) for name in chosen}
        path = tmp_path / f"{'-'.join(chosen)}.pt"
        recipe = DrafterRecipe(num_steps=4, block_tokens=8, max_anchors=3, gammas=(7,))
        train_drafters(tiny.frozen(), drafters, random_tokens, recipe, path, lambda step: None)
        return drafters

    together = trained(*names)
    for name in names:
        alone = trained(name)[name].module.state_dict()
        start = tiny.trainable(name).module.state_dict()
        for key, weight in together[name].module.state_dict().items():
            assert torch.equal(weight, alone[key]), (name, key)
            assert not torch.equal(weight, start[key]), (name, key)


def test_each_part_of_a_batch_is_the_drafters_own() -> None:
    ar, medusa = tiny.trainable("ar"), tiny.trainable("medusa")
    layers = layers_read([medusa, ar])
    assert layers == (FINAL_NORM, *tiny.LAYERS)
    tokens, anchors = random_tokens(3), torch.tensor([[4], [9]])
    batch = hang_blocks(tiny.frozen(), tokens, layers, anchors, 7, (), 4.0)
    alone = hang_blocks(tiny.frozen(), tokens, tiny.LAYERS, anchors, 7, (), 4.0)
    part = own_part(batch, layers, ar)
    assert torch.equal(part.features, alone.features) and part.gamma == 7
    assert own_part(alone, tiny.LAYERS, ar) is alone
    heads = own_part(batch, layers, medusa)
    assert (heads.gamma, heads.features.shape[-1]) == (5, 32)
    assert torch.equal(heads.labels, batch.labels[..., :5])
    assert torch.equal(heads.target_probs, batch.target_probs[:, :, :5])


def test_fewer_slots_are_evaluated_of_a_drafter_that_has_fewer() -> None:
    drafters = {name: tiny.trainable(name) for name in ("ar", "hydra")}
    recipe = DrafterRecipe(num_steps=1, block_tokens=14, max_anchors=2)
    found = evaluate_drafters(tiny.frozen(), drafters, [random_tokens(1)], 7, recipe)
    assert {name: len(values) for name, values in found.items()} == {"ar": 7, "hydra": 5}
    alone = {"hydra": drafters["hydra"]}
    assert evaluate_drafters(tiny.frozen(), alone, [random_tokens(1)], 7, recipe) == {
        "hydra": found["hydra"]
    }


@pytest.mark.parametrize(("objective", "decay"), [(Objective.HEADS, 0.8), (Objective.TOKENS, 1.0)])
def test_losses_of_tokens_by_hand(objective: Objective, decay: float) -> None:
    """Mean cross entropy of the labels, each slot weighing `decay` of the one before."""
    shares = torch.tensor([[0.8, 0.2], [0.5, 0.5], [0.3, 0.7]])
    labels, weights = torch.tensor([0, 1, 0]), torch.tensor([1.0, 0.78, 0.0])
    batch = DraftTrainingBatch(
        tokens=labels[None],
        features=torch.zeros(1),
        anchors=torch.zeros(1, 1),
        labels=labels.view(1, 1, 3),
        target_probs=shares.view(1, 1, 3, 2),
        weights=weights.view(1, 1, 3),
    )
    loss = draft_loss(DraftScores(shares.log().view(1, 1, 3, 2), None), batch, objective)
    ce = -torch.tensor([0.8, 0.5]).log()
    assert float(loss.total) == pytest.approx(
        float((ce[0] + decay * ce[1]) / (1 + decay)), abs=1e-5
    )


def test_a_causal_block_learns_by_the_target_s_distribution() -> None:
    assert tiny.trainable("jetspec").objective is Objective.SOFT
    assert tiny.trainable("parallel").objective is Objective.ACCEPTANCE


def eagle_batch(tokens: torch.Tensor, gamma: int = 3) -> DraftTrainingBatch:
    anchors = torch.tensor([[8, 3]])
    return hang_blocks(tiny.frozen(), tokens, (FINAL_NORM,), anchors, gamma, (), 4.0)


def test_a_drafter_of_states_learns_from_true_ones_at_the_right_places() -> None:
    model = tiny.trainable("eagle")
    tokens = torch.randint(2, tiny.VOCAB, (1, 20), generator=torch.Generator().manual_seed(3))
    scores, states = model.scores(eagle_batch(tokens)), tiny.frozen().read(tokens, (FINAL_NORM,))
    assert scores.taught is not None
    for block, anchor in enumerate((8, 3)):
        wanted = states.features[0, anchor : anchor + 3]
        assert torch.allclose(scores.taught.states[0, block], wanted)
    # a guess of the state at a place is the first guess of the chain whose anchor is there
    moved = hang_blocks(tiny.frozen(), tokens, (FINAL_NORM,), torch.tensor([[9, 10]]), 3, (), 4.0)
    first = model.scores(moved).logits[0, :, 0]
    assert torch.allclose(scores.taught.logits[0, 0, 1:], first, atol=1e-5)
    # what is reported has its own guesses fed back: the same at first, then not
    assert torch.allclose(scores.logits[0, 0, 0], scores.taught.logits[0, 0, 0], atol=1e-5)
    assert not torch.allclose(scores.logits[0, 0, 1], scores.taught.logits[0, 0, 1], atol=1e-2)
    assert not scores.logits.requires_grad and scores.taught.logits.requires_grad


def test_the_loss_of_states_by_hand() -> None:
    batch = eagle_batch(torch.arange(2, 22).unsqueeze(0), gamma=2)
    batch = replace(batch, weights=torch.tensor([[[1.0, 0.3], [0.5, 0.0]]]))
    states = torch.zeros(1, 2, 2, 4)
    guesses = states.clone()
    guesses[0, 0, 0] = torch.tensor([2.0, 0.5, 0.0, 0.0])
    guesses[0, 1, 1] = 99.0  # beyond the document: counts for nothing
    logits = torch.zeros(1, 2, 2, tiny.VOCAB)
    scores = DraftScores(logits, None, GuessedStates(guesses, states, logits))
    # 2 - 0.5 and 0.5^2 / 2, over four elements and three places, which weigh the same
    wanted = (1.5 + 0.125) / 4 / 3 + 0.1 * math.log(tiny.VOCAB)
    found = draft_loss(scores, batch, Objective.STATES)
    assert float(found.total) == pytest.approx(wanted, rel=1e-5)


def test_a_drafter_of_states_gets_better(tmp_path: Path) -> None:
    drafters = {"eagle": tiny.trainable("eagle")}
    before = drafters["eagle"].module.state_dict()
    before = {name: weight.clone() for name, weight in before.items()}
    losses: list[float] = []

    def source(step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(step % 2)
        return torch.randint(1, tiny.VOCAB, (2, 24), generator=generator)

    recipe = DrafterRecipe(num_steps=30, block_tokens=16, max_anchors=8, gammas=(4, 2))
    path = tmp_path / "run.pt"
    train_drafters(
        tiny.frozen(), drafters, source, recipe, path, lambda s: losses.append(s.losses["eagle"])
    )
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    for name, weight in drafters["eagle"].module.state_dict().items():
        assert not torch.equal(weight, before[name]), name
