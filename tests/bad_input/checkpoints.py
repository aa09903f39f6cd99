"""Targets and drafters: configurations, and files that are missing or of another kind."""

from typing import Any

from tests.bad_input.case import Case, Prepare, overridden
from tests.bad_input.edits import DEEP, both, folder, keys, pickled, remove, without, write

_CONFIGS: dict[str, tuple[Any, str]] = {
    "another family": ({"model_type": "gemma2"}, "numbers, and a gemma2 of this config.json has"),
    "another family's architecture": ({"model_type": "llama"}, "valid: ['LlamaForCausalLM']"),
    "no family": ({"model_type": None}, "model_type is None"),
    "remote code of an unknown family": (
        {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}},
        "model_type is 'evil'",
    ),
    "no layers": ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
    "negative layers": ({"num_hidden_layers": -2}, "num_hidden_layers is -2"),
    "more layers than there are": (
        {"num_hidden_layers": 9},
        "num_target_layers 4, its target 9 layers",
    ),
    "layers without end": ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
    "no heads": ({"num_attention_heads": 0}, "num_attention_heads is 0"),
    "no key heads": ({"num_key_value_heads": 0}, "num_key_value_heads is 0"),
    "key heads that do not divide": ({"num_key_value_heads": 3}, "num_key_value_heads is 3"),
    "an odd head": ({"head_dim": 15}, "head_dim is 15"),
    "a head without size": ({"head_dim": -16}, "head_dim is -16"),
    "no hidden size": ({"hidden_size": 0}, "hidden_size is 0"),
    "hidden size of text": ({"hidden_size": "wide"}, "wide"),
    "hidden size with a fraction": ({"hidden_size": 32.5}, "hidden_size is 32.5"),
    "hidden size true": ({"hidden_size": True}, "hidden_size is True"),
    "hidden size beyond all bounds": ({"hidden_size": 10**400}, "hidden_size"),
    "infinite vocabulary": ({"vocab_size": float("inf")}, "vocab_size"),
    "a vocabulary that is no number": ({"vocab_size": float("nan")}, "vocab_size"),
    "another vocabulary": ({"vocab_size": 321}, "drafter has vocab_size 320, its target 321"),
    "no positions": ({"max_position_embeddings": 0}, "max_position_embeddings is 0"),
    "positions without end": (
        {"max_position_embeddings": 10**15},
        "max_position_embeddings is 1000000000000000",
    ),
    "a negative rotary base": ({"rope_theta": -1.0}, "rope_theta is -1.0"),
    "a rotary base of zero": ({"rope_theta": 0}, "rope_theta is 0"),
    "a rotary base that is no number": ({"rope_theta": float("nan")}, "rope_theta is nan"),
    "rotary parameters of text": ({"rope_parameters": "yarn"}, "rope_parameters"),
    "stretched rotary positions": (
        {"rope_scaling": {"rope_type": "dynamic"}},
        "rope_type is 'dynamic'",
    ),
    "positions stretched by nothing": (
        {"rope_scaling": {"type": "yarn"}},
        "lacks the key 'factor'",
    ),
    "positions stretched by zero": (
        {"rope_scaling": {"type": "linear", "factor": 0}},
        "rope_scaling: factor is 0",
    ),
    "a key of another kind of positions": (
        {"rope_scaling": {"type": "linear", "factor": 2, "beta_fast": 32}},
        "the key 'beta_fast' (32)",
    ),
    "bands of waves that overlap": (
        {
            "rope_scaling": {
                "type": "llama3",
                "factor": 2,
                "low_freq_factor": 4,
                "high_freq_factor": 1,
            }
        },
        "high_freq_factor is 1; valid: above low_freq_factor, 4",
    ),
    "a negative norm floor": ({"rms_norm_eps": -1}, "rms_norm_eps is -1"),
    "a norm floor that is no number": ({"rms_norm_eps": float("nan")}, "rms_norm_eps is nan"),
    "an end token outside the vocabulary": ({"eos_token_id": 5000}, "eos_token_id is 5000"),
    "an end token of text": ({"eos_token_id": "end"}, "end"),
    "end tokens of objects": ({"eos_token_id": [{}]}, "eos_token_id"),
    "biases that are missing": ({"attention_bias": True}, "self_attn.q_proj.bias"),
    "a window of nothing": (
        {"use_sliding_window": True, "sliding_window": 0},
        "sliding_window is 0",
    ),
    "another activation": ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
    "an activation that is a list": ({"hidden_act": ["silu"]}, "hidden_act"),
    "an untied head that is missing": (
        {"tie_word_embeddings": False},
        "lacks the tensor 'lm_head.weight'",
    ),
    "a tie that is text": ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no'"),
    "sliding layers": ({"layer_types": ["sliding_attention"]}, "layer_types holds"),
    "part of a rotation": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
    "experts": ({"num_experts": 8}, "num_experts is 8"),
    "quantised weights": ({"quantization_config": {"quant_method": "awq"}}, "quant_method 'awq'"),
    "a key that nobody knows": ({"final_logit_softcapping": 30.0}, "'final_logit_softcapping'"),
    "two rotary bases": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        "rope_theta is 500000; they must be equal",
    ),
    "another task": ({"architectures": ["Qwen3ForSequenceClassification"]}, "architectures is"),
}
_DRAFTS: dict[str, tuple[Any, str]] = {
    "another architecture": ({"architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM"),
    "no architecture": ({"architectures": []}, "architecture is 'none'"),
    "an architecture of a number": ({"architectures": 7}, "architecture is 7"),
    "another hidden size": ({"hidden_size": 64}, "drafter has hidden_size 64, its target 32"),
    "another vocabulary": ({"vocab_size": 400}, "drafter has vocab_size 400, its target 320"),
    "target layers out of range": ({"target_layer_ids": [0, 7]}, "target_layer_ids holds 7"),
    "negative target layers": ({"target_layer_ids": [-5]}, "target_layer_ids holds -5"),
    "a target layer by another name": ({"target_layer_ids": [0, -2]}, "target_layer_ids holds -2"),
    "no target layers": ({"target_layer_ids": []}, "target_layer_ids"),
    "a target layer of text": ({"target_layer_ids": ["last"]}, "last"),
    "target layers of a number": ({"target_layer_ids": 2}, "target_layer_ids"),
    "no block": ({"block_size": 0}, "block_size is 0"),
    "a negative block": ({"block_size": -4}, "block_size is -4"),
    "a mask token outside the vocabulary": ({"mask_token_id": 320}, "mask_token_id is 320"),
    "a negative mask token": ({"mask_token_id": -1}, "mask_token_id is -1"),
    "another rank": ({"markov_rank": 9}, "markov_head.markov_w1.weight"),
    "a negative rank": ({"markov_rank": -8}, "markov_rank is -8"),
    "an unknown head": ({"markov_head_type": "lstm"}, "markov_head_type is 'lstm'"),
    "a head that is a list": ({"markov_head_type": ["rnn"]}, "markov_head_type"),
    "a head that the weights lack": ({"markov_head_type": "rnn"}, "joint_proj"),
    "more layers than there are": ({"num_hidden_layers": 5}, "lacks the tensor"),
    "heads that do not divide": ({"num_key_value_heads": 0}, "num_key_value_heads is 0"),
    "a fork's extension": ({"dflash_query_causal": True}, "dflash_query_causal"),
    "slots that leave the anchor out": (
        {"sample_from_anchor": False},
        "sample_from_anchor is False",
    ),
    "a causal block": (
        {"dflash_config": {"causal_head": True}},
        "dflash_config.causal_head is True",
    ),
    "sliding layers": ({"layer_types": ["sliding_attention"] * 2}, "layer_types holds 'sliding_at"),
    "a reduced vocabulary": ({"draft_vocab_size": 32}, "draft_vocab_size is 32"),
    "a target of another depth": ({"num_target_layers": 9}, "num_target_layers 9, its target 4"),
    "another library's layout": ({"speculators_model_type": "dspark"}, "speculators_model_type"),
}
_TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty": (b"", "config.json"),
    "garbled": (b"\x00\xff\x13garbage", "config.json"),
    "cut off": ('{"model_type": "qw', "config.json"),
    "a list": ("[]", "must hold a JSON object"),
    "nested without end": (DEEP, "config.json"),
    "with a byte-order mark": ("\ufeff{}", "config.json"),
    "a number of 5,000 digits": ('{"hidden_size": ' + "9" * 5000 + "}", "config.json"),
}
_FILES: dict[str, tuple[Prepare, str]] = {
    "target: no folder": (remove("target"), "no checkpoint directory at target"),
    "target: a file for a folder": (
        both(remove("target"), write("target", "x")),
        "no checkpoint directory at target",
    ),
    "target: no config": (remove("target/config.json"), "config.json"),
    "target: a folder for the config": (folder("target/config.json"), "config.json"),
    "target: no weights": (remove("target/model.safetensors"), "holds neither"),
    "target: a folder for the weights": (folder("target/model.safetensors"), "holds neither"),
    "target: a pickle for the weights": (
        both(remove("target/model.safetensors"), pickled("target/pytorch_model.bin", {"a": 1})),
        "pytorch_model.bin",
    ),
    "drafter: a pickle for the weights": (
        both(remove("semi_ar/model.safetensors"), pickled("semi_ar/model.pt", {"a": 1})),
        "model.pt",
    ),
    "target: an index that names no file": (
        both(
            remove("target/model.safetensors"),
            write(
                "target/model.safetensors.index.json", '{"weight_map": {"a": "gone.safetensors"}}'
            ),
        ),
        "gone.safetensors",
    ),
    "target: an index that leaves the folder": (
        both(
            remove("target/model.safetensors"),
            write(
                "target/model.safetensors.index.json",
                '{"weight_map": {"a": "../semi_ar/model.safetensors"}}',
            ),
        ),
        "../semi_ar/model.safetensors",
    ),
    "target: an index of numbers": (
        both(
            remove("target/model.safetensors"),
            write("target/model.safetensors.index.json", '{"weight_map": {"a": 7, "b": "x"}}'),
        ),
        "weight_map",
    ),
    "target: an index without a map": (
        both(
            remove("target/model.safetensors"),
            write("target/model.safetensors.index.json", '{"weight_map": []}'),
        ),
        "weight_map",
    ),
    "target: a key missing": (without("target/config.json", "hidden_size"), "'hidden_size'"),
    "drafter: a key missing": (without("semi_ar/config.json", "block_size"), "'block_size'"),
    "drafter: no folder": (remove("semi_ar"), "no checkpoint directory at semi_ar"),
    "drafter: an architecture of another drafter": (
        both(remove("semi_ar"), lambda box: (box / "ar").rename(box / "semi_ar")),
        "this drafter reads",
    ),
    "drafter: no Markov head": (
        both(remove("semi_ar"), lambda box: (box / "parallel").rename(box / "semi_ar")),
        "markov_rank is 0: a DFlash checkpoint, not a DSpark one; use drafter=parallel",
    ),
    "target: broken generation settings": (
        write("target/generation_config.json", "{"),
        "generation_config.json is not valid JSON",
    ),
    "target: an end token outside the vocabulary among the generation settings": (
        write("target/generation_config.json", '{"eos_token_id": [0, 5000]}'),
        "generation_config.json: eos_token_id is [0, 5000]",
    ),
}


def cases() -> list[Case]:
    """The catalogue's part."""
    sweep = overridden("sweep")
    found = [
        Case("target config", name, sweep, says, keys("target/config.json", **changes))
        for name, (changes, says) in _CONFIGS.items()
    ]
    found += [
        Case("drafter config", name, sweep, says, keys("semi_ar/config.json", **changes))
        for name, (changes, says) in _DRAFTS.items()
    ]
    found += [
        Case(category, f"file {name}", sweep, says, write(f"{place}/config.json", text))
        for place, category in (("target", "target config"), ("semi_ar", "drafter config"))
        for name, (text, says) in _TEXTS.items()
    ]
    found += [
        Case("checkpoint files", name, sweep, says, prepare)
        for name, (prepare, says) in _FILES.items()
    ]
    return found
