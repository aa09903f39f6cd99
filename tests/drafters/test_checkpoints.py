"""Drafters read the public layouts, and compute what the trainable modules compute."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import (
    CONFIDENCE_HEAD,
    LARGEST_PROBABILITY,
    ContextUpdate,
    DraftBatch,
    SamplingParams,
)
from dspark_bench.drafters import sequential_heads
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.drafters.parallel import ParallelDrafter
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.drafters.sequential_heads import VanillaHead
from dspark_bench.models.checkpoint import read_tensors, write_checkpoint
from dspark_bench.models.draft_config import DSPARK
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.training.drafter_batch import TrainableDrafter, hang_blocks
from dspark_bench.training.drafter_trainer import save_drafter
from dspark_bench.training.target_features import FrozenTarget
from tests import tiny, tiny_families


@pytest.mark.parametrize("name", [*tiny.DRAFTERS, *tiny.HEAD_DRAFTERS, "mtp"])
def test_incremental_drafting_equals_the_training_forward(name: str) -> None:
    """Context fed in two chunks, rows out of order, two requests: same probabilities."""
    check_drafts(tiny.trainable(name), tiny.frozen(), tiny.drafter_dir(name), tiny.drafter(name))


CLASSES: dict[str, Any] = {
    "parallel": ParallelDrafter,
    "ar": AutoregressiveDrafter,
    "semi_ar_gated": SemiAutoregressiveDrafter,
}


@pytest.mark.parametrize("family", ["qwen2", "llama-yarn", "mistral-window"])
@pytest.mark.parametrize("name", CLASSES)
def test_drafters_of_other_families_are_qwen3_shaped(
    name: str, family: str, tmp_path: Path
) -> None:
    """With the positions of their target, and without its biases and windows."""
    folder = tiny_families.folder(family)
    teacher = FrozenTarget(folder, tiny.CPU)
    model = tiny.trainable(name, teacher)
    save_drafter(model, teacher, folder, tmp_path, {})
    drafter = CLASSES[name](tmp_path, tiny_families.target(family))
    assert drafter.spec.notes == ()
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["model_type"], config["head_dim"]) == ("qwen3", 16)
    check_drafts(model, teacher, tmp_path, drafter)


def check_drafts(
    model: TrainableDrafter, teacher: FrozenTarget, folder: Path, drafter: Drafter
) -> None:
    tokens = torch.randint(1, tiny.VOCAB, (2, 50), generator=torch.Generator().manual_seed(3))
    anchors, gamma = torch.tensor([[30], [21]]), 5
    batch = hang_blocks(teacher, tokens, model.feature_layers, anchors, gamma, (), 4.0)
    stored = read_tensors(folder, torch.float32, tiny.CPU)
    tables = {"d2t", "t2d"}
    model.module.load_state_dict({k: v for k, v in stored.items() if k not in tables})
    with torch.inference_mode():
        expected = model.scores(batch)
        drafter.allocate(4, 64)
        for ends in ([7, 7], [30, 21]):
            starts = [0, 0] if ends == [7, 7] else [7, 7]
            spans = [(1, starts[1], ends[1]), (0, starts[0], ends[0])]
            drafter.extend(
                ContextUpdate(
                    rows=(0, 2),
                    starts=tuple(a for _, a, _ in spans),
                    counts=tuple(b - a for _, a, b in spans),
                    token_ids=torch.cat([tokens[i, a:b] for i, a, b in spans]),
                    next_token_ids=torch.cat([tokens[i, a + 1 : b + 1] for i, a, b in spans]),
                    features=torch.cat([batch.features[i, a:b] for i, a, b in spans]),
                )
            )
        proposal = drafter.propose(
            DraftBatch(
                rows=(0, 2),
                context_lens=(21, 30),
                anchors=torch.stack([tokens[1, 21], tokens[0, 30]]),
                draft_lens=(gamma, gamma),
                sampling=SamplingParams(),
                uniform=torch.zeros(2, gamma, dtype=torch.float64),
                forced=batch.labels[:, 0].flip(0),
            )
        )
    assert proposal.probs is not None
    wanted = torch.softmax(expected.logits[:, 0], -1).flip(0)
    if teacher.token_ids is not None:
        spread = wanted.new_zeros(*wanted.shape[:-1], tiny.VOCAB)
        spread[..., teacher.token_ids] = wanted
        wanted = spread
    assert (proposal.probs - wanted).abs().max() < 1e-4
    assert (proposal.probs.std(0) > 1e-4).any()
    if expected.confidence is None or proposal.confidence is None:
        assert expected.confidence is proposal.confidence
        assert drafter.spec.confidence_kind == LARGEST_PROBABILITY
        return
    confidence = torch.sigmoid(expected.confidence[:, 0]).flip(0)
    assert (proposal.confidence - confidence).abs().max() < 1e-4
    assert confidence.std() > 0.01


@pytest.mark.parametrize("name", ["parallel", "semi_ar_vanilla"])
def test_a_shorter_draft_ignores_what_lies_behind_it(name: str) -> None:
    """Draft lengths differ per request: slots up to each length equal those drafted alone."""
    drafter = tiny.drafter(name)
    features = torch.randn(6, 32 * len(tiny.LAYERS), generator=torch.Generator().manual_seed(1))
    tokens = torch.arange(1, 7)

    def propose(rows: tuple[int, ...], lens: tuple[int, ...]) -> torch.Tensor:
        with torch.inference_mode():
            drafter.allocate(2, 32)
            for row in rows:
                drafter.extend(ContextUpdate((row,), (0,), (6,), tokens, tokens + 1, features))
            size, width = len(rows), max(lens)
            uniform = torch.full((size, width), 0.5, dtype=torch.float64)
            anchors = torch.full((size,), 7)
            probs = drafter.propose(
                DraftBatch(rows, (6,) * size, anchors, lens, SamplingParams(), uniform)
            ).probs
        assert probs is not None
        return probs

    together, alone = propose((0, 1), (2, 6)), propose((0,), (2,))
    assert (together[0, :2] - alone[0]).abs().max() < 1e-5


def released(tmp_path: Path, name: str, **changes: object) -> Path:
    """A copy as DeepSpec releases it: with the target's embedding and head inside."""
    path = Path(shutil.copytree(tiny.drafter_dir(name), tmp_path / name))
    tensors = read_tensors(path, torch.float32, tiny.CPU)
    tensors["embed_tokens.weight"] = tiny.target().embed.clone()
    tensors["lm_head.weight"] = tiny.target().head_weight.clone()
    write_checkpoint(path, tensors, torch.float32)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))
    return path


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_released_layout_with_copies_drafts_the_same(tmp_path: Path, name: str) -> None:
    requests = tiny.requests(3)
    path = released(tmp_path, name)
    assert tiny.outputs(tiny.serve(requests, tiny.drafter(name, path))) == tiny.outputs(
        tiny.serve(requests, tiny.drafter(name))
    )


def test_the_markov_table_is_the_product_of_its_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tiny.drafter_dir("semi_ar_vanilla")
    config = read_draft_config(directory, DSPARK)
    tensors = read_tensors(directory, torch.float32, tiny.CPU)
    previous, hidden = torch.arange(5), torch.zeros(5, 32)
    by_table, _ = VanillaHead(config, tensors, None).bias(previous, hidden, None)
    monkeypatch.setattr(sequential_heads, "TABLE_MAX_BYTES", 0)
    by_factors, _ = VanillaHead(config, tensors, None).bias(previous, hidden, None)
    assert (by_table - by_factors).abs().max() < 1e-5
    assert by_table.abs().max() > 0.1


def test_a_dflash_checkpoint_may_judge_its_own_drafts() -> None:
    assert ParallelDrafter(tiny.drafter_dir("parallel"), tiny.target()).spec.confidence_kind == (
        CONFIDENCE_HEAD
    )


@pytest.mark.parametrize(
    ("drafter", "checkpoint", "says"),
    [
        (
            "parallel",
            "semi_ar_vanilla",
            "a DSpark checkpoint, not a DFlash one; use drafter=semi_ar",
        ),
        (
            "semi_ar_vanilla",
            "parallel",
            "a DFlash checkpoint, not a DSpark one; use drafter=parallel",
        ),
        ("parallel", "ar", "architecture is 'Qwen3Eagle3Model'.*use drafter=ar"),
        ("semi_ar_rnn", "ar", "architecture is 'Qwen3Eagle3Model'.*use drafter=ar"),
        ("ar", "parallel", "architecture is 'Qwen3DSparkModel'.*use drafter=parallel"),
        ("ar", "semi_ar_gated", "architecture is 'Qwen3DSparkModel'.*use drafter=semi_ar"),
    ],
)
def test_another_layout_names_the_drafter_that_reads_it(
    drafter: str, checkpoint: str, says: str
) -> None:
    with pytest.raises(CheckpointError, match=says):
        tiny.drafter(drafter, tiny.drafter_dir(checkpoint))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("parallel", {"architectures": ["LlamaModel"]}, "architecture is 'LlamaModel'"),
        ("ar", {"architectures": ["Qwen3DSparkModel"]}, "architecture is 'Qwen3DSparkModel'"),
        ("parallel", {"target_layer_ids": [0, 3]}, "holds 3; valid for this target: -1 to 2"),
        ("parallel", {"vocab_size": 65}, "vocab_size 65, its target 64"),
        ("semi_ar_vanilla", {"markov_head_type": "cubic"}, "markov_head_type is 'cubic'"),
        ("semi_ar_vanilla", {"markov_rank": 0}, "use drafter=parallel"),
        ("semi_ar_vanilla", {"markov_rank": 9}, r"markov_w\d\.weight' has shape"),
        ("semi_ar_vanilla", {"log_snr_conditioning": True}, "log_snr_conditioning"),
        ("ar", {"ttt_length": None}, "lacks the key 'ttt_length'"),
        ("ar", {"draft_num_hidden_layers": 2}, "draft_num_hidden_layers is 2"),
        ("ar", {"markov_rank": 8}, "markov_rank is 8"),
        ("ar", {"norm_before_residual": True}, "norm_before_residual is True"),
        ("semi_ar_vanilla", {"sample_from_anchor": False}, "sample_from_anchor is False; valid: T"),
        (
            "parallel",
            {"dflash_config": {"causal_head": True}},
            r"dflash_config\.causal_head is True",
        ),
        ("parallel", {"causal_head": True}, "causal_head is True; valid: False"),
        ("parallel", {"dflash_config": {"mask_token_id": 2}}, r"mask_token_id is 2; valid: 1"),
        ("parallel", {"dflash_config": {"layer_drop": 2}}, r"'dflash_config\.layer_drop' \(2\)"),
        ("parallel", {"dflash_config": [1]}, r"dflash_config is \[1\]; valid: an object"),
        ("parallel", {"layer_types": ["sliding_attention"] * 2}, "layer_types holds 'sliding_att"),
        ("ar", {"layer_types": ["sliding_attention"]}, "layer_types holds 'sliding_attention'"),
        ("ar", {"draft_vocab_size": 65}, "draft_vocab_size is 65; valid: a whole number, 1 to 64"),
        ("parallel", {"draft_vocab_size": 32}, "lacks the tensor 'd2t'"),
        ("parallel", {"target_hidden_size": 64}, "target_hidden_size is 64"),
        ("parallel", {"num_target_layers": 5}, "num_target_layers 5, its target 4 layers"),
        ("parallel", {"enable_confidence_head": "yes"}, "enable_confidence_head is 'yes'"),
        ("parallel", {"enable_confidence_head": False}, r"'confidence_head\..*enable_confidence"),
        ("parallel", {"speculators_model_type": "dflash"}, "'speculators_model_type'"),
        ("parallel", {"confidence_temperatures": [1.0]}, "'confidence_temperatures'"),
        ("parallel", {"quantization_config": {"quant_method": "gptq"}}, "quant_method 'gptq'"),
        ("semi_ar_gated", {"markov_head_type": "vanilla"}, "gate_proj.*markov_head_type 'gated'"),
        ("semi_ar_rnn", {"markov_head_type": "vanilla"}, "joint_proj.*markov_head_type 'rnn'"),
    ],
)
def test_unfit_drafters_are_explained(
    tmp_path: Path, name: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        tiny.drafter(name, released(tmp_path, name, **changes))


def test_asking_for_another_head_than_the_checkpoint_holds_is_refused() -> None:
    path = tiny.drafter_dir("semi_ar_rnn")
    with pytest.raises(CheckpointError, match=r"drafter\.head is 'gated'.*holds 'rnn'"):
        SemiAutoregressiveDrafter(path, tiny.target(), head="gated")


@pytest.mark.parametrize("name", tiny.DRAFTERS)
@pytest.mark.parametrize("extra", ["d2t", "t2d", "markov_head.gate.weight", "adapter.weight"])
def test_a_tensor_that_no_drafter_reads_is_named(tmp_path: Path, name: str, extra: str) -> None:
    path = released(tmp_path, name)
    tensors = read_tensors(path, torch.float32, tiny.CPU)
    write_checkpoint(path, {**tensors, extra: torch.ones(3)}, torch.float32)
    with pytest.raises(CheckpointError, match=f"holds the tensor '{extra}', not asked for"):
        tiny.drafter(name, path)


@pytest.mark.parametrize("name", ["parallel", "ar"])
def test_what_a_config_repeats_or_merely_notes_changes_nothing(tmp_path: Path, name: str) -> None:
    path = released(
        tmp_path,
        name,
        num_anchors=512,
        loss_decay_gamma=4.0,
        sample_from_anchor=True,
        draft_vocab_size=tiny.VOCAB,
        dflash_config={"target_layer_ids": list(tiny.LAYERS), "causal_head": False},
        layer_types=["full_attention"] * 2,
        sliding_window=64,
    )
    assert tiny.drafter(name, path).spec == tiny.drafter(name).spec
