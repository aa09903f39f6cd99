"""What the configurations of each family say: as released, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.checkpoint import write_checkpoint
from dspark_bench.models.config import parse_draft_shape, parse_model_config, read_model_config
from dspark_bench.models.expected_tensors import check_headers, target_tensors
from dspark_bench.models.rope import RopeKind
from dspark_bench.models.target import TargetModel
from tests import tiny, tiny_families

QWEN25: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "hidden_act": "silu",
    "hidden_size": 896,
    "initializer_range": 0.02,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 21,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.43.1",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
LLAMA32: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "initializer_range": 0.02,
    "intermediate_size": 8192,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 16,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.45.0.dev0",
    "use_cache": True,
    "vocab_size": 128256,
}
MISTRAL: dict[str, Any] = {
    "architectures": ["MistralForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.34.0.dev0",
    "use_cache": True,
    "vocab_size": 32000,
}
"""As released."""


def parsed(data: dict[str, Any], **changes: Any) -> Any:
    return parse_model_config(data | changes, "folder/config.json")


def without(data: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != key}


def test_qwen2_has_biases_and_no_norms() -> None:
    config = parsed(QWEN25)
    assert (config.head_dim, config.windows) == (64, ())
    assert (config.has_query_key_norm, config.has_qkv_bias, config.has_out_bias) == (0, 1, 0)


def test_llama_has_neither_and_its_own_positions() -> None:
    config = parsed(LLAMA32)
    assert (config.has_query_key_norm, config.has_qkv_bias, config.has_out_bias) == (0, 0, 0)
    assert (config.rope.kind, config.rope.factor) == (RopeKind.LLAMA3, 32)
    assert config.eos_token_ids == (128001, 128008, 128009)
    assert parsed(LLAMA32, attention_bias=True).has_out_bias
    assert parsed(LLAMA32, rope_interleaved=False, is_llama_config=True) == config


def test_mistral_sees_a_window_on_every_layer() -> None:
    assert parsed(MISTRAL).windows == (4096,) * 32
    assert parsed(MISTRAL, sliding_window=None).windows == ()
    assert parsed(MISTRAL, layer_types=["sliding_attention"] * 32).windows == (4096,) * 32


def test_an_absent_key_is_what_transformers_takes_for_it() -> None:
    assert parsed(without(MISTRAL, "sliding_window")).windows == (4096,) * 32
    assert parsed(without(MISTRAL, "num_key_value_heads")).num_key_value_heads == 8
    assert parsed(MISTRAL, num_key_value_heads=None).num_key_value_heads == 32
    assert parsed(without(MISTRAL, "max_position_embeddings")).max_position_embeddings == 131072
    assert parsed(without(LLAMA32, "max_position_embeddings")).max_position_embeddings == 2048
    assert parsed(without(LLAMA32, "eos_token_id")).eos_token_ids == (2,)
    assert parsed(LLAMA32, eos_token_id=None).eos_token_ids == ()
    assert parsed(without(LLAMA32, "head_dim")).head_dim == 64
    assert parsed(without(QWEN25, "eos_token_id")).eos_token_ids == ()
    assert parsed(without(QWEN25, "use_sliding_window")).windows == ()


def test_qwen_s_windows_are_switched_on() -> None:
    on = {"use_sliding_window": True}
    assert parsed(QWEN25, **on).windows == (None,) * 21 + (32768,) * 3
    assert parsed(QWEN25, **on, max_window_layers=24).windows == (None,) * 24
    kinds = ["full_attention", "sliding_attention"] * 12
    assert parsed(QWEN25, **on, layer_types=kinds).windows == (None, 32768) * 12
    assert parsed(QWEN25, **on, sliding_window=None).windows == ()


@pytest.mark.parametrize(
    ("data", "changes", "says"),
    [
        (QWEN25, {"attention_bias": False}, "attention_bias is False; valid: True"),
        (QWEN25, {"use_qk_norm": True}, "use_qk_norm is True; valid: False"),
        (QWEN25, {"layer_types": ["sliding_attention"]}, "no sliding_window is in use"),
        (
            QWEN25,
            {"use_sliding_window": True, "layer_types": ["sliding_attention"] * 3},
            "layer_types has 3 entries; valid: 24",
        ),
        (
            QWEN25,
            {"use_sliding_window": True, "layer_types": ["chunked_attention"] * 24},
            "'chunked_attention'; valid: 'full_attention' or 'sliding_attention'",
        ),
        (LLAMA32, {"mlp_bias": True}, "mlp_bias is True"),
        (LLAMA32, {"rope_interleaved": True}, "rope_interleaved is True"),
        (LLAMA32, {"use_sliding_window": True}, "use_sliding_window is True"),
        (LLAMA32, {"layer_types": ["sliding_attention"]}, "'sliding_attention'"),
        (LLAMA32, {"no_rope_layers": [1, 1, 0]}, "the key 'no_rope_layers'"),
        (MISTRAL, {"attention_bias": True}, "attention_bias is True"),
        (MISTRAL, {"sliding_window": -1}, "sliding_window is -1"),
        (
            MISTRAL,
            {"layer_types": ["full_attention"] * 32},
            "'full_attention'; valid: 'sliding_attention' for every layer, as sliding_window is",
        ),
        (MISTRAL, {"architectures": ["MistralForSequenceClassification"]}, "architectures is"),
        (MISTRAL, {"model_type": "ministral"}, "supported: 'qwen3', 'qwen2', 'llama', 'mistral'"),
    ],
)
def test_what_would_change_the_answers_is_refused_by_name(
    data: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        parsed(data, **changes)
    assert says in str(caught.value)
    assert str(caught.value).startswith("folder/config.json: ")


@pytest.mark.parametrize("data", [QWEN25, LLAMA32, MISTRAL])
def test_a_drafter_is_qwen3_shaped_or_refused(data: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"model_type is '\w+'; valid: 'qwen3'"):
        parse_draft_shape(data, "config.json")


@pytest.mark.parametrize("name", tiny_families.MODELS)
def test_headers_ask_for_what_transformers_writes(name: str) -> None:
    folder = tiny_families.folder(name)
    expected = target_tensors(read_model_config(folder))
    check_headers(folder, expected)
    assert set(expected.required) == set(load_file(folder / "model.safetensors"))


def saved(name: str, folder: Path, **options: Any) -> Path:
    tiny_families.reference(name).save_pretrained(folder, **options)
    return folder


def logits(model: TargetModel) -> torch.Tensor:
    cache = model.new_cache(1, 16)
    with torch.inference_mode():
        plan = plan_attention([Span(0, 0, 8)], cache)
        return model.forward(torch.arange(1, 9), plan, cache).logits


@pytest.mark.parametrize("name", ["qwen2", "llama", "mistral-window"])
def test_shards_with_an_index(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path, max_shard_size="30KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    shards = TargetModel.load(folder, torch.float32, tiny.CPU)
    assert torch.equal(logits(shards), logits(tiny_families.target(name)))


@pytest.mark.parametrize("name", ["qwen2", "llama", "mistral-window"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_sixteen_bits(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = load_file(tiny_families.folder(name) / "model.safetensors")
    write_checkpoint(tmp_path / "half", tensors, dtype)
    rounded = {key: tensor.to(dtype).float() for key, tensor in tensors.items()}
    write_checkpoint(tmp_path / "rounded", rounded, torch.float32)
    config = tiny_families.written(name)
    for key, folder in (("dtype", "rounded"), ("torch_dtype", "half")):
        said = {**without(without(config, "dtype"), "torch_dtype"), key: str(dtype)[6:]}
        (tmp_path / folder / "config.json").write_text(json.dumps(said))
    half, whole = (
        TargetModel.load(tmp_path / folder, torch.float32, tiny.CPU)
        for folder in ("half", "rounded")
    )
    assert torch.equal(logits(half), logits(whole))


def test_ends_of_both_files(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [tiny.EOS, 5, 9]}))
    assert read_model_config(folder).eos_token_ids == (tiny.EOS, 5, 9)
