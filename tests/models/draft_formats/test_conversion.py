"""`convert`: a drafter drafts the same in its new format, and what cannot be held is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dspark_bench import cli
from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.core.protocols import Drafter
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.drafters.parallel import ParallelDrafter
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.models.config import parse_model_config
from dspark_bench.models.draft_formats.conversion import SLUGS, convert
from dspark_bench.models.draft_formats.reading import read_any_draft_config
from dspark_bench.models.draft_formats.shape_keys import new_keys, old_keys
from tests import tiny, tiny_families
from tests.models.draft_formats.scoring import features, proposal_of
from tests.tiny_formats import (
    HEAD_DIM,
    INPUTS,
    Rand,
    block_tensors,
    eagle3_config,
    eagle3_tensors,
    layer_config,
    llama,
    llama_dir,
    speculators_config,
    write,
)

DRAFTS = torch.tensor([5, 60, 3, 17])
MARKOV: dict[str, Any] = {
    "markov_rank": 8,
    "enable_confidence_head": True,
    "confidence_head_with_markov": True,
}
NATIVE: dict[str, Any] = {
    **layer_config("qwen3", 2),
    "architectures": ["Qwen3DSparkModel"],
    "target_layer_ids": [1, 6],
    "block_size": 6,
    "mask_token_id": 2,
    "tie_word_embeddings": False,
}
BLOCK: dict[str, Any] = {
    "block_size": 6,
    "mask_token_id": 2,
    "aux_hidden_state_layer_ids": [2, 7],
}


def normed_eagle3() -> dict[str, Tensor]:
    weights, make = eagle3_tensors(drafted=tiny.VOCAB, prefix="layers.0."), Rand(8)
    del weights["lm_head.weight"]
    for letter in "qk":
        weights[f"layers.0.self_attn.{letter}_norm.weight"] = make.norm(HEAD_DIM)
    return weights


def sources(folder: Path) -> dict[str, Path]:
    """Drafters of every kind and format."""
    native_eagle = layer_config("qwen3", 1) | {
        "architectures": ["Qwen3Eagle3Model"],
        "target_layer_ids": [1, 3, 4],
        "ttt_length": 7,
        "tie_word_embeddings": False,
    }
    in_place = speculators_config("dflash", "qwen3", 2, **BLOCK)
    reduced = speculators_config(
        "dspark",
        "qwen3",
        2,
        **{**BLOCK, **MARKOV, "draft_vocab_size": 24},
        sample_from_anchor=False,
    )
    return {
        "dspark": write(folder / "a", block_tensors(rank=8), NATIVE | MARKOV),
        "dflash": write(folder / "b", block_tensors(), NATIVE),
        "eagle3": write(folder / "c", normed_eagle3(), native_eagle),
        "safeailab": write(folder / "d", eagle3_tensors(), eagle3_config()),
        "in place": write(folder / "e", block_tensors(), in_place),
        "reduced": write(folder / "f", block_tensors(drafted=24, rank=8), reduced),
    }


def drafts(path: Path) -> Tensor:
    config = read_any_draft_config(path)
    assert config is not None
    drafter: Drafter = {"ar": AutoregressiveDrafter, "parallel": ParallelDrafter}.get(
        config.layout.drafter, SemiAutoregressiveDrafter
    )(path, llama())
    layers = tuple(layer + 1 for layer in drafter.spec.feature_layers)
    found = proposal_of(drafter, features(layers), DRAFTS)
    assert found.probs is not None
    return found.probs[1]


@pytest.mark.parametrize(
    ("name", "slug", "target"),
    [
        ("dspark", "speculators", False),
        ("dflash", "speculators", False),
        ("eagle3", "speculators", True),
        ("safeailab", "speculators", False),
        ("in place", "zlab", False),
        ("reduced", "speculators", False),
    ],
)
def test_it_drafts_the_same_there_and_back(
    tmp_path: Path, name: str, slug: str, target: bool
) -> None:
    source, there = sources(tmp_path)[name], tmp_path / "there"
    convert(source, slug, there, llama_dir() if target else None)
    expected = drafts(source)
    assert torch.equal(drafts(there), expected)
    kept = load_file(source / "model.safetensors")
    for key, tensor in load_file(there / "model.safetensors").items():
        old = kept.get(key.replace("layers.0.", "midlayer.") if name == "safeailab" else key)
        assert old is None or (torch.equal(old, tensor) and old.dtype == tensor.dtype)
    back = {"safeailab": "safeailab", "in place": "speculators", "reduced": "speculators"}
    if name != "eagle3":
        convert(there, back.get(name, "deepspec"), tmp_path / "back", None)
        assert torch.equal(drafts(tmp_path / "back"), expected)


def test_what_others_read_is_written(tmp_path: Path) -> None:
    """Ids plus one, slots from the anchor on, the target's head for a format that must have one."""
    found = sources(tmp_path)
    convert(found["dspark"], "speculators", tmp_path / "x", None)
    config = json.loads((tmp_path / "x" / "config.json").read_text())
    assert config["speculators_model_type"] == "dspark"
    assert config["aux_hidden_state_layer_ids"] == [2, 7]
    assert (config["sample_from_anchor"], config["block_size"]) == (True, 6)
    assert config["speculators_config"]["proposal_methods"][0]["speculative_tokens"] == 6
    convert(found["eagle3"], "speculators", tmp_path / "y", llama_dir())
    config = json.loads((tmp_path / "y" / "config.json").read_text())
    assert config["eagle_aux_hidden_state_layer_ids"] == list(INPUTS)
    assert config["norm_before_residual"] is False
    weights = load_file(tmp_path / "y" / "model.safetensors")
    assert torch.equal(weights["lm_head.weight"], llama().head_weight)
    convert(found["in place"], "zlab", tmp_path / "z", None)
    config = json.loads((tmp_path / "z" / "config.json").read_text())
    assert config["dflash_config"]["target_layer_ids"] == [1, 6]
    assert config["block_size"] == 6


def test_the_missing_half_of_the_tables_is_written(tmp_path: Path) -> None:
    weights = eagle3_tensors()
    kept = weights.pop("t2d")
    source = write(tmp_path / "a", weights, eagle3_config())
    convert(source, "speculators", tmp_path / "b", None)
    assert torch.equal(load_file(tmp_path / "b" / "model.safetensors")["t2d"], kept)


def test_copies_are_left_out_where_they_are_copies(tmp_path: Path) -> None:
    copies = {
        "embed_tokens.weight": llama().embed.clone(),
        "lm_head.weight": llama().head_weight.clone(),
    }
    config = speculators_config("dflash", "qwen3", 2, **BLOCK)
    source = write(tmp_path / "a", block_tensors() | copies, config)
    with pytest.raises(CheckpointError, match="valid: --target FOLDER, to see that it is a copy"):
        convert(source, "zlab", tmp_path / "b", None)
    convert(source, "zlab", tmp_path / "b", llama_dir())
    assert not copies.keys() & load_file(tmp_path / "b" / "model.safetensors").keys()
    copies["lm_head.weight"] += 1
    write(source, block_tensors() | copies, config)
    with pytest.raises(CheckpointError, match="the drafter's is not its target's"):
        convert(source, "zlab", tmp_path / "c", llama_dir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "slug", "message"),
    [
        ("dspark", "zlab", "is a DSpark drafter, and DFlash of z-lab has none; valid: DFlash"),
        ("dspark", "safeailab", "is a DSpark drafter"),
        ("dflash", "zlab", "cannot hold slots that predict the token behind them"),
        ("in place", "deepspec", "DeepSpec cannot hold slots in place, which this DFlash drafter"),
        ("reduced", "deepspec", "cannot hold slots in place"),
        ("eagle3", "safeailab", "cannot hold norms of query and key heads"),
        ("eagle3", "speculators", "needs one; valid: --target FOLDER"),
        ("safeailab", "deepspec", "cannot hold a reduced vocabulary"),
    ],
)
def test_what_a_format_cannot_hold_is_named(
    tmp_path: Path, name: str, slug: str, message: str
) -> None:
    source = sources(tmp_path)[name]
    with pytest.raises(CheckpointError, match=message):
        convert(source, slug, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "slug"),
    [("in place", "speculators"), ("dspark", "speculators"), ("dspark", "deepspec")],
)
def test_another_width_than_the_targets_is_not_lost(tmp_path: Path, name: str, slug: str) -> None:
    config = read_any_draft_config(sources(tmp_path)[name])
    assert config is not None and SLUGS[slug].write(config)
    with pytest.raises(CheckpointError, match="another width than its target"):
        SLUGS[slug].write(replace(config, target_hidden_size=config.model.hidden_size + 16))


def test_zlabs_file_has_a_place_for_another_width(tmp_path: Path) -> None:
    config = read_any_draft_config(sources(tmp_path)["in place"])
    assert config is not None
    own, other = config.model.hidden_size, config.model.hidden_size + 16
    written = SLUGS["zlab"].write(replace(config, target_hidden_size=other))
    (tmp_path / "config.json").write_text(json.dumps(written))
    again = read_any_draft_config(tmp_path)
    assert again is not None and (again.model.hidden_size, again.target_hidden_size) == (own, other)
    assert "target_hidden_size" not in json.dumps(SLUGS["zlab"].write(config))


def test_ids_that_are_unclear_wait_for_a_target(tmp_path: Path) -> None:
    nested = {"eagle_config": {"eagle_aux_hidden_state_layer_ids": [1, 3, 4]}}
    source = write(tmp_path / "a", eagle3_tensors(), eagle3_config() | nested)
    with pytest.raises(CheckpointError, match="depends on the target; valid: --target FOLDER"):
        convert(source, "speculators", tmp_path / "b", None)
    convert(source, "speculators", tmp_path / "b", llama_dir())
    config = read_any_draft_config(tmp_path / "b")
    assert config is not None and config.target_layer_ids == (1, 3, 4)


def test_positions_survive_both_manners_of_writing() -> None:
    for name in ("llama-yarn", "llama-llama3", "llama-linear", "llama-yarn-factor", "qwen3-biased"):
        model = parse_model_config(tiny_families.written(name), "config.json")
        model = replace(model, tie_word_embeddings=False)
        for keys in (new_keys(model), old_keys(model)):
            assert parse_model_config(keys, "config.json") == model


def test_as_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = sources(tmp_path)["safeailab"]
    words = ["convert", str(source), "--to", "speculators", "--out", str(tmp_path / "new")]
    assert cli.execute(words) == 0
    assert "Eagle3, read as EAGLE-3 of SafeAILab, written to" in capsys.readouterr().out
    assert cli.execute(words) == 2
    assert "which exists; valid: a new folder" in " ".join(capsys.readouterr().err.split())
    words[3] = "gguf"
    assert cli.execute([*words[:-1], str(tmp_path / "other")]) == 2
    assert "--to is 'gguf'; valid: deepspec, eagle, saf" in " ".join(
        capsys.readouterr().err.split()
    )
    with pytest.raises(CheckpointError, match="no checkpoint directory"):
        convert(tmp_path / "none", "zlab", tmp_path / "other", None)
    with pytest.raises(CheckpointError, match="holds no drafter in a format that is read"):
        convert(llama_dir(), "zlab", tmp_path / "other", None)
    with pytest.raises(UsageError, match="--out is"):
        convert(source, "speculators", source / "config.json" / "x", None)
    assert {one.name for one in tmp_path.iterdir()} == {*"abcdef", "new"}


def test_a_depth_that_is_lost_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = NATIVE | {"num_target_layers": 8}
    source = write(tmp_path / "native", block_tensors(2), config)
    words = ["convert", str(source), "--out"]
    assert cli.execute([*words, str(tmp_path / "a"), "--to", "speculators"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "has no place for its target's depth, 8 layers" in said
    assert cli.execute([*words, str(tmp_path / "b"), "--to", "deepspec"]) == 0
    assert "target's depth" not in capsys.readouterr().out
