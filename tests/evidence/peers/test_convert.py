"""The embedded `ar` under Eagle3's names."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dspark_bench.core.errors import CheckpointError
from dspark_bench.evidence.peers.convert import eagle3_name, write_eagle3
from tests.tiny import drafter_dir, target_dir

LAYER = "input_layernorm hidden_norm post_attention_layernorm".split()
ATTENTION = "q_proj k_proj v_proj o_proj q_norm k_norm".split()
MLP = "gate_proj up_proj down_proj".split()
EAGLE3 = {
    "fc.weight",
    "norm.weight",
    *(f"midlayer.{name}.weight" for name in LAYER),
    *(f"midlayer.self_attn.{name}.weight" for name in ATTENTION),
    *(f"midlayer.mlp.{name}.weight" for name in MLP),
}


def test_every_tensor_has_its_name_in_eagle3_and_its_values(tmp_path: Path) -> None:
    source = drafter_dir("ar")
    write_eagle3(source, tmp_path / "eagle3")
    before, after = (
        load_file(place / "model.safetensors") for place in (source, tmp_path / "eagle3")
    )
    assert set(after) == EAGLE3
    assert any(name.startswith("confidence_head.") for name in before)
    for name, tensor in before.items():
        new_name = eagle3_name(name)
        assert new_name is None or torch.equal(after[new_name], tensor)


def test_the_configuration_names_the_architecture_and_the_layers_as_vllm_counts_them(
    tmp_path: Path,
) -> None:
    source = drafter_dir("ar")
    write_eagle3(source, tmp_path)
    before, after = (
        json.loads((place / "config.json").read_text()) for place in (source, tmp_path)
    )
    assert after.pop("architectures") == ["Eagle3Qwen3ForCausalLM"]
    layers = after.pop("eagle_aux_hidden_state_layer_ids")
    assert layers == [layer + 1 for layer in before["target_layer_ids"]]
    del before["architectures"]
    assert after == before


def test_other_checkpoints_and_unknown_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="architecture"):
        write_eagle3(target_dir(), tmp_path / "out")
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text((drafter_dir("ar") / "config.json").read_text())
    tensors = load_file(drafter_dir("ar") / "model.safetensors")
    save_file({**tensors, "layers.1.fc.weight": torch.ones(1)}, source / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"'layers\.1\.fc\.weight' has no name in Eagle3"):
        write_eagle3(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
