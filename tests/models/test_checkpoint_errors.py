import json
import shutil
from pathlib import Path

import pytest
import torch

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.checkpoint import content_hash, read_tokenizer
from dspark_bench.models.target import TargetModel
from tests import tiny


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.target_dir(), tmp_path / "copy"))


def load(path: Path) -> TargetModel:
    return TargetModel.load(path, torch.float32, tiny.CPU)


def edit(path: Path, **changes: object) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint directory at .*nowhere"):
        load(tmp_path / "nowhere")


def test_truncated_weights_are_named(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"cannot read weights .*model\.safetensors"):
        load(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'; supported: 'qwen3'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"attention_bias": True}, "attention_bias"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type is 'yarn'"),
        ({"vocab_size": 63}, r"shape \(64, 32\); expected \(63, 32\)"),
        ({"num_hidden_layers": 5}, r"lacks the tensor 'model\.layers\.4"),
        ({"hidden_size": "wide"}, "hidden_size is 'wide'; valid: a whole number"),
    ],
)
def test_unfit_configs_are_explained(copy: Path, changes: dict[str, object], message: str) -> None:
    edit(copy, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(copy)


def test_broken_json_is_named(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load(copy)


def test_missing_tokenizer_is_named(copy: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        read_tokenizer(copy)


def test_hash_follows_content_not_place(copy: Path) -> None:
    assert content_hash(copy) == content_hash(tiny.target_dir())
    edit(copy, rms_norm_eps=1e-5)
    assert content_hash(copy) != content_hash(tiny.target_dir())


def test_sharded_weights_are_read(tmp_path: Path) -> None:
    tiny.qwen().save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    assert torch.equal(load(tmp_path).embed, tiny.target().embed)
