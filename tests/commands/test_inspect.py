"""`inspect` as typed: formats by their names, what is missing, what nobody reads."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Gemma2Config, Gemma2ForCausalLM

from dspark_bench import cli
from dspark_bench.commands.inspect import inspect
from dspark_bench.models.draft_formats.unread import name_unread
from tests import tiny
from tests.drafters import counting
from tests.drafters.test_heads import (
    HYDRA_CONFIG,
    MEDUSA_CONFIG,
    hydra_tensors,
    medusa_tensors,
)
from tests.drafters.test_mtp import module, tensors_of
from tests.tiny_formats import (
    block_tensors,
    eagle3_config,
    eagle3_tensors,
    layer_config,
    llama_dir,
    speculators_config,
    write,
)
from tests.tiny_models import tiny_tokenizer

DSPARK: dict[str, Any] = {
    "block_size": 6,
    "mask_token_id": 2,
    "aux_hidden_state_layer_ids": [0, 7],
    "draft_vocab_size": 24,
    "sample_from_anchor": False,
    "markov_rank": 8,
    "enable_confidence_head": True,
    "confidence_head_with_markov": True,
}


KEYLESS = " without {}_num_heads in its config.json"
UNKNOWN_MAKER = "MTP of a maker that is not known here"


def said(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    assert cli.execute(["inspect", *map(str, words)]) == code
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def test_eagle3_of_safeailab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, eagle3_tensors(), eagle3_config())
    text = said(capsys, path, "--target", llama_dir())
    for part in (
        "kind Eagle3 format EAGLE-3 of SafeAILab",
        f"run as drafter=ar drafter.path={path}",
        "gamma any: not stated",
        "reads the inputs of layers 2, n // 2 and n - 3 of its target's n",
        "drafts 24 of 64 tokens",
        "layers 1 of width 32",
        "missing nothing",
        "fits targets of 64 tokens, width 32 and 7 layers or more",
        "with that target it fits",
    ):
        assert part in text
    # fc, midlayer and head; d2t of 8 bytes and t2d of 1 each beside 4 bytes a weight
    count = 32 * 96 + 64 * (32 + 16 + 16) + 32 * 32 + 3 * 32 * 48 + 4 * 32 + 24 * 32
    assert f"parameters {count} ({(4 * count + 24 * 8 + 64) / 2**20:.1f} MiB)" in text


def test_dspark_of_speculators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = speculators_config("dspark", "qwen3", 2, **DSPARK)
    text = said(capsys, write(tmp_path, block_tensors(drafted=24, rank=8), config))
    for part in (
        "kind DSpark format speculators run as drafter=semi_ar",
        "gamma up to 5",
        "the outputs of the target's layers the embedding, 6 (the first is 0)",
        "layers 2 of width 32, vanilla head of rank 8",
        "confidence yes",
        "fits targets of 64 tokens, width 32 and 8 layers or more",
    ):
        assert part in text


def test_heads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "m", medusa_tensors(heads=5), MEDUSA_CONFIG | {"medusa_num_heads": 2})
    text = said(capsys, path, "--target", llama_dir())
    for part in (
        f"kind Medusa format Medusa run as drafter=medusa drafter.path={path}",
        "gamma up to 5 reads the target's last state, behind its final norm",
        "drafts all 64 tokens heads 5 of 1 block, width 32 "
        "confidence no head: the drafter's largest probability stands in",
        "note the drafter's config.json says 2 heads, its files hold 5",
        f"parameters {5 * (32 * 32 + 32 + 64 * 32)} (",
        "missing nothing fits targets of 64 tokens and width 32 with that target it fits",
    ):
        assert part in text
    path = write(
        tmp_path / "h", hydra_tensors(blocks=2, own=False), HYDRA_CONFIG | {"hydra_num_layers": 2}
    )
    text = said(capsys, path)
    for part in (
        "kind Hydra format Hydra, under the target's head run as drafter=hydra",
        "drafts all tokens, with the target's head",
        "heads 3 of 2 blocks, width 32, each reading the drafts before its own",
        "fits targets of width 32",
    ):
        assert part in text
    text = said(capsys, path, "--target", counting.target_dir(), code=2)
    assert "with that target it does not fit" in text and "hidden_size 32" in text


def test_pickled_heads_say_how_to_convert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(MEDUSA_CONFIG))
    torch.save(medusa_tensors(), tmp_path / "medusa_lm_head.pt")
    text = said(capsys, tmp_path, code=2)
    assert "kind Medusa" in text and "no weights that can be read" in text
    assert f"dspark-bench convert {tmp_path} --to safetensors" in text


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "mimo",
            (
                "kind MTP format MTP of MiMo, inside its target run as drafter=mtp",
                "gamma any: not stated reads the target's last state, behind its final norm",
                "module one layer of width 32, reads state, then embedding",
                "reads next its own output behind the final norm",
            ),
        ),
        ("deepseek", ("embedding, then state", "its own output before the final norm")),
        ("speculators", ("format MTP of speculators", "gamma up to 5", "drafts all 64 tokens")),
    ],
)
def test_modules(
    tmp_path: Path, name: str, parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The target's own tensors beside it are neither counted nor asked about."""
    text = said(capsys, module(tmp_path, name), "--target", llama_dir())
    count = sum(tensor.numel() for tensor in tensors_of(name).values())
    for part in (*parts, f"parameters {count} (", "missing nothing", "with that target it fits"):
        assert part in text
    assert "not understood" not in text


def test_every_kind_of_deepspec(capsys: pytest.CaptureFixture[str]) -> None:
    for name, kind in (("ar", "Eagle3"), ("parallel", "DFlash"), ("semi_ar_rnn", "DSpark")):
        text = said(capsys, tiny.drafter_dir(name), "--target", tiny.target_dir())
        assert f"kind {kind} format DeepSpec" in text and "it fits" in text


def test_a_target(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, llama_dir())
    assert f"format a target, llama run as target.path={llama_dir()} or beside" in text
    assert f"drafter=draft_model drafter.path={llama_dir()} layers 8" in text
    assert "missing nothing" in text


def test_a_target_that_transformers_computes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
    }
    Gemma2ForCausalLM(Gemma2Config(**shape)).save_pretrained(tmp_path)
    text = said(capsys, tmp_path)
    assert "format a target, gemma2, computed by transformers" in text
    assert "layers 2 of width 32 vocabulary 64 tokens" in text


def test_what_is_missing_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = eagle3_tensors() | {"fc.bias": torch.ones(32)}
    for name in ("d2t", "norm.weight"):
        del tensors[name]
    text = said(capsys, write(tmp_path, tensors, eagle3_config()), code=2)
    assert "missing d2t, norm.weight not understood fc.bias" in text
    assert "lacks the tensor 'norm.weight'" in text


def test_a_target_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, eagle3_tensors(), eagle3_config())
    text = said(capsys, path, "--target", tiny.target_dir(), code=2)
    assert "with that target it does not fit" in text and "this target has 4; valid: 7" in text


def test_a_key_that_is_not_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, eagle3_tensors(), eagle3_config() | {"norm_before_fc": True})
    text = said(capsys, path, code=2)
    assert "EAGLE-3 of SafeAILab" in text and "norm_before_fc is True; valid: False" in text


def test_pickled_weights_are_not_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(eagle3_config()))
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    text = said(capsys, tmp_path, code=2)
    assert "no weights that can be read" in text and "pytorch_model.bin may run code" in text


@pytest.mark.parametrize(
    ("config", "tensors", "files", "name"),
    [
        ({}, ("0.0.linear.weight", "0.1.weight"), (), f"Medusa{KEYLESS.format('medusa')}"),
        ({}, (), ("medusa_lm_head.pt",), f"Medusa{KEYLESS.format('medusa')}"),
        ({}, (), ("hydra_lm_head.pt",), f"Hydra{KEYLESS.format('hydra')}"),
        ({}, ("mtp.fc.weight", "mtp.norm.weight"), (), UNKNOWN_MAKER),
        ({}, ("model.layers.61.eh_proj.weight",), (), UNKNOWN_MAKER),
        ({"architectures": ["DFlash2DraftModel"]}, (), (), "DFlash2"),
        ({"speculators_model_type": "peagle"}, (), (), "P-EAGLE of speculators"),
        ({"architectures": ["DSparkDraftModel"]}, (), (), "DSpark of SpecForge"),
        ({}, ("mtp.2.markov_head.markov_w1",), (), "DeepSeek-V4's DSpark, inside its target"),
        (
            {"architectures": ["LlamaForCausalLM"]},
            ("embed_tokens.weight", "fc.weight", "fc.bias", "layers.0.mlp.up_proj.weight"),
            (),
            "EAGLE-1 or EAGLE-2 of another family than Llama",
        ),
        ({"architectures": ["LlamaForCausalLM"]}, ("model.norm.weight",), (), None),
    ],
)
def test_others_are_named(
    config: dict[str, Any], tensors: tuple[str, ...], files: tuple[str, ...], name: str | None
) -> None:
    assert name_unread(config, tensors, files) == name


def test_what_nobody_reads_is_named_as_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors: dict[str, Tensor] = {"0.0.linear.weight": torch.ones(4, 4)}
    path = write(tmp_path, tensors, layer_config("llama", 1))
    assert f"format Medusa{KEYLESS.format('medusa')}: no reader yet parameters 16" in said(
        capsys, path
    )
    assert inspect(path).problem is None


def test_a_sweep_names_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = layer_config("qwen3", 2) | {
        "architectures": ["DFlash2DraftModel"],
        "dflash_config": {},
    }
    path = write(tmp_path / "next", block_tensors(), config)
    words = [f"target.path={llama_dir()}", "drafter=parallel", f"drafter.path={path}"]
    tiny_tokenizer().save(str(llama_dir() / "tokenizer.json"))
    assert cli.execute(["sweep", *words, "gamma=2", f"results_dir={tmp_path}"]) == 2
    assert "it looks like DFlash2, which nothing here reads yet" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_folder_that_is_nothing_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "checkpoint directory" in said(capsys, tmp_path / "none", code=2)
    assert "looks like no drafter or target" in said(capsys, tmp_path, code=2)
