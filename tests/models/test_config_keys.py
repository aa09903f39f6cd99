"""Every key of a `config.json` is read, known to change nothing, or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.config.point_config import ZOO
from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import parse_model_config, read_model_config
from dspark_bench.models.config_keys import DRAFT_KEYS
from dspark_bench.models.config_values import read_json
from dspark_bench.models.drafter_files import kind_of, parse_drafter
from dspark_bench.models.families import FAMILIES
from tests import tiny

QWEN3_06B: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 1024,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "max_window_layers": 28,
    "model_type": "qwen3",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.51.0",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
"""As released."""


def test_a_released_config_is_read() -> None:
    config = parse_model_config(QWEN3_06B, "config.json")
    assert (config.rope.theta, config.head_dim, config.eos_token_ids) == (1e6, 128, (151645,))
    assert config.tie_word_embeddings


def test_what_transformers_writes_is_read() -> None:
    written = json.loads(tiny.qwen().config.to_json_string(use_diff=False))
    assert parse_model_config(written, "config.json").hidden_size == 32
    every_default = tiny.qwen().config.to_dict()
    assert parse_model_config(every_default, "config.json").vocab_size == tiny.VOCAB


def test_metadata_changes_nothing() -> None:
    notes = {
        "auto_map": {"AutoModel": "remote.Code"},
        "_name_or_path": "somewhere",
        "unsloth_version": "2025.1",
        "sliding_window": 4096,
        "repetition_penalty": 1.1,
        "a_key_nobody_knows": None,
    }
    plain = parse_model_config(QWEN3_06B, "config.json")
    assert parse_model_config(QWEN3_06B | notes, "config.json") == plain


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architectures": ["Qwen3ForSequenceClassification"]}, "architectures is"),
        ({"attention_bias": "yes"}, "attention_bias is 'yes'"),
        ({"qkv_bias": True}, "qkv_bias is True; valid: False"),
        ({"mlp_bias": True}, "mlp_bias is True"),
        ({"use_sliding_window": "yes"}, "use_sliding_window is 'yes'"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "'sliding_attention'"),
        ({"layer_types": ["linear_attention"]}, "'linear_attention'"),
        ({"layer_types": "full_attention"}, "layer_types is 'full_attention'; valid: a list"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5; valid: 1.0"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"num_experts": 128}, "num_experts is 128; valid: 0"),
        ({"moe_intermediate_size": 768}, "the key 'moe_intermediate_size' (768) is not known"),
        ({"final_logit_softcapping": 30.0}, "'final_logit_softcapping' (30.0)"),
        ({"attn_output_gate": True}, "attn_output_gate is True"),
        ({"text_config": {}}, "'text_config' ({})"),
        ({"a_flag_nobody_knows": False}, "'a_flag_nobody_knows' (False)"),
        ({"tie_word_embeddings": "false"}, "tie_word_embeddings is 'false'; valid: true or false"),
        ({"quantization_config": {"quant_method": "awq"}}, "quant_method 'awq'"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised weights"),
        ({"compression_config": {"format": "pack-quantized"}}, "compression_config"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, "rope_type is 'dynamic'"),
        ({"rope_scaling": {"type": "longrope"}}, "type is 'longrope'; supported: 'default', 'lin"),
        ({"rope_scaling": {"mrope_section": [16, 24, 24]}}, "'mrope_section'"),
        (
            {"rope_parameters": {"rope_type": "default"}, "rope_scaling": {"rope_type": "llama3"}},
            "lacks the key 'factor'",
        ),
        ({"rope_parameters": {"partial_rotary_factor": 0.25}}, "partial_rotary_factor is 0.25"),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
            "rope_theta is 1e+06, rope_parameters.rope_theta is 10000; they must be equal",
        ),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "'full_attention'"),
    ],
)
def test_what_would_change_the_answers_is_refused_by_name(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_model_config(QWEN3_06B | changes, "folder/config.json")
    message = str(caught.value)
    assert says in message
    assert message.startswith("folder/config.json: ")


@pytest.mark.parametrize("known", [*(family.keys for family in FAMILIES.values()), DRAFT_KEYS])
def test_no_key_is_known_twice(known: Any) -> None:
    assert not set(known.bound) & known.read
    assert not set(known.bound) & known.harmless
    assert not known.read & known.harmless


def _written(folder: Path, own: object, *, generation: object = ...) -> Path:
    (folder / "config.json").write_text(json.dumps(QWEN3_06B | {"eos_token_id": own}))
    if generation is not ...:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


@pytest.mark.parametrize(
    ("own", "generation", "expected"),
    [
        (7, ..., (7,)),
        ([7, 9], ..., (7, 9)),
        (None, ..., ()),
        (7, {"eos_token_id": [9, 7]}, (7, 9)),
        (7, {"eos_token_id": 9}, (7, 9)),
        (None, {"eos_token_id": [9, 11]}, (9, 11)),
        (7, {"temperature": 0.6}, (7,)),
        (7, {"eos_token_id": None}, (7,)),
    ],
)
def test_end_tokens_are_those_of_both_files(
    tmp_path: Path, own: object, generation: object, expected: tuple[int, ...]
) -> None:
    folder = _written(tmp_path, own, generation=generation)
    assert read_model_config(folder).eos_token_ids == expected


def test_end_tokens_that_are_none_are_refused_with_their_file(tmp_path: Path) -> None:
    for value in ([7, 10**6], "end", [-1], [True]):
        folder = _written(tmp_path, 7, generation={"eos_token_id": value})
        with pytest.raises(CheckpointError, match=r"generation_config\.json: eos_token_id is"):
            read_model_config(folder)
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"generation_config\.json is not valid JSON"):
        read_model_config(tmp_path)


def test_the_zoo_says_nothing_unknown() -> None:
    assert read_model_config(ZOO / "target").eos_token_ids == (0,)
    for path in sorted(ZOO.glob("drafters/*/config.json")):
        config = read_json(path)
        if kind_of(config) is None:
            read_model_config(path.parent)
        else:
            parse_drafter(config, path.parent)
