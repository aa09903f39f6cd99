"""Targets and drafters: configurations, weights, safetensors headers and tokenizers."""

import json
from collections.abc import Callable
from typing import Any

import torch

from tests.bad_input.case import Case, Prepare, overridden
from tests.bad_input.edits import (
    DEEP,
    both,
    cut,
    edit_bytes,
    edit_json,
    folder,
    header,
    keys,
    length,
    pickled,
    poison,
    remove,
    tensors,
    without,
    write,
)

_EMBED = "model.embed_tokens.weight"
_CONFIGS: dict[str, tuple[Any, str]] = {
    "another family": ({"model_type": "llama"}, "model_type is 'llama'"),
    "no family": ({"model_type": None}, "model_type is None"),
    "remote code of an unknown family": (
        {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}},
        "model_type is 'evil'",
    ),
    "no layers": ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
    "negative layers": ({"num_hidden_layers": -2}, "num_hidden_layers is -2"),
    "more layers than there are": ({"num_hidden_layers": 9}, "lacks the tensor"),
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
        {"rope_scaling": {"rope_type": "yarn"}},
        "rope_type is 'yarn'",
    ),
    "a negative norm floor": ({"rms_norm_eps": -1}, "rms_norm_eps is -1"),
    "a norm floor that is no number": ({"rms_norm_eps": float("nan")}, "rms_norm_eps is nan"),
    "an end token outside the vocabulary": ({"eos_token_id": 5000}, "eos_token_id is 5000"),
    "an end token of text": ({"eos_token_id": "end"}, "end"),
    "end tokens of objects": ({"eos_token_id": [{}]}, "eos_token_id"),
    "biases": ({"attention_bias": True}, "attention_bias"),
    "sliding windows": ({"use_sliding_window": True}, "use_sliding_window"),
    "another activation": ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
    "an activation that is a list": ({"hidden_act": ["silu"]}, "hidden_act"),
}
_DRAFTS: dict[str, tuple[Any, str]] = {
    "another architecture": ({"architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM"),
    "no architecture": ({"architectures": []}, "architecture is 'none'"),
    "an architecture of a number": ({"architectures": 7}, "architecture is 7"),
    "another hidden size": ({"hidden_size": 64}, "drafter has hidden_size 64, its target 32"),
    "another vocabulary": ({"vocab_size": 400}, "drafter has vocab_size 400, its target 320"),
    "target layers out of range": ({"target_layer_ids": [0, 7]}, "target_layer_ids holds 7"),
    "negative target layers": ({"target_layer_ids": [-5]}, "target_layer_ids holds -5"),
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
_HEADERS: dict[str, Callable[[bytes], bytes]] = {
    "empty file": lambda content: b"",
    "seven bytes": lambda content: content[:7],
    "header of length zero": length(0),
    "header of length one": length(1),
    "header longer than the file": length(10**9),
    "header of the largest length": length(2**64 - 1),
    "header of no JSON": header(lambda h: "not json at all"),
    "header of a JSON list": header(lambda h: "[]"),
    "header nested without end": header(lambda h: '{"a":' * 50_000 + "1" + "}" * 50_000),
    "header not UTF-8": lambda content: content[:9] + b"\xff\xfe" + content[11:],
    "offsets past the end": header(lambda h: h[_first(h)].update(data_offsets=[0, 10**12])),
    "negative offsets": header(lambda h: h[_first(h)].update(data_offsets=[-8, 8])),
    "offsets backwards": header(lambda h: h[_first(h)].update(data_offsets=[64, 0])),
    "offsets that overlap": header(
        lambda h: h[_second(h)].update(data_offsets=h[_first(h)]["data_offsets"])
    ),
    "a key twice": header(
        lambda h: (
            '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, '
            '"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}'
        )
    ),
    "a shape that does not fit its bytes": header(lambda h: h[_first(h)].update(shape=[10**9])),
    "a negative shape": header(lambda h: h[_first(h)].update(shape=[-1])),
    "a shape that overflows": header(lambda h: h[_first(h)].update(shape=[2**62, 2**62])),
    "an unknown type": header(lambda h: h[_first(h)].update(dtype="F7")),
    "no offsets": header(lambda h: h[_first(h)].pop("data_offsets")),
    "bytes after the last tensor": lambda content: content + b"tail" * 100,
    "cut off in a tensor": lambda content: content[: len(content) // 2],
    "a pickle file": lambda content: b"\x80\x04\x95\x00\x00\x00\x00",
    "a zip file": lambda content: b"PK\x03\x04" + content[4:],
    "an HTML page": lambda content: b"<!DOCTYPE html><title>404</title>",
    "a pointer of Git LFS": lambda content: (
        b"version https://git-lfs.example/spec/v1\noid sha256:0\n"
    ),
}
_WEIGHTS: dict[str, tuple[str, Prepare, str]] = {
    "target: a tensor of another shape": (
        "target",
        tensors("target", lambda t: t.update({_EMBED: t[_EMBED][:, :16]})),
        "(320, 16); expected (320, 32)",
    ),
    "target: a tensor of no dimension": (
        "target",
        tensors("target", lambda t: t.update({_EMBED: torch.tensor(1.0)})),
        "expected (320, 32)",
    ),
    "target: a tensor missing": (
        "target",
        tensors("target", lambda t: t.pop("model.norm.weight")),
        "lacks the tensor 'model.norm.weight'",
    ),
    "target: a tensor nobody asked for": (
        "target",
        tensors("target", lambda t: t.update({"model.layers.0.adapter.weight": torch.ones(2)})),
        "model.layers.0.adapter.weight",
    ),
    "target: tensors of another naming": (
        "target",
        tensors("target", lambda t: [t.update({f"x.{k}": t.pop(k)}) for k in list(t)]),
        "lacks the tensor",
    ),
    "target: whole numbers": (
        "target",
        tensors("target", lambda t: t.update({_EMBED: t[_EMBED].to(torch.int8)})),
        "int8",
    ),
    "target: complex numbers": (
        "target",
        tensors("target", lambda t: t.update({_EMBED: t[_EMBED].to(torch.complex64)})),
        "complex64",
    ),
    "target: a NaN": ("target", poison("target", _EMBED, float("nan")), f"{_EMBED!r} holds"),
    "target: an infinity": (
        "target",
        poison("target", "model.layers.1.mlp.up_proj.weight", float("inf")),
        "'model.layers.1.mlp.up_proj.weight' holds",
    ),
    "drafter: a NaN": (
        "semi_ar",
        poison("semi_ar", "markov_head.markov_w2.weight", float("nan")),
        "'markov_head.markov_w2.weight' holds",
    ),
    "drafter: an infinity": (
        "semi_ar",
        poison("semi_ar", "fc.weight", float("-inf")),
        "'fc.weight' holds",
    ),
    "drafter: a tensor of another shape": (
        "semi_ar",
        tensors("semi_ar", lambda t: t.update({"fc.weight": torch.ones(32, 32)})),
        "(32, 32); expected (32, 64)",
    ),
    "drafter: a tensor missing": (
        "semi_ar",
        tensors("semi_ar", lambda t: t.pop("confidence_head.proj.bias")),
        "lacks the tensor 'confidence_head.proj.bias'",
    ),
    "drafter: a tensor nobody asked for": (
        "semi_ar",
        tensors("semi_ar", lambda t: t.update({"layers.7.mlp.up_proj.weight": torch.ones(2)})),
        "layers.7.mlp.up_proj.weight",
    ),
    "drafter: no tensor at all": (
        "semi_ar",
        tensors("semi_ar", lambda t: t.clear()),
        "lacks the tensor",
    ),
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
        "markov_rank is 0",
    ),
}
_TOKENIZERS: dict[str, tuple[Prepare, str]] = {
    "missing": (remove("target/tokenizer.json"), "tokenizer.json"),
    "a folder": (folder("target/tokenizer.json"), "tokenizer.json"),
    "empty": (write("target/tokenizer.json", ""), "tokenizer.json"),
    "garbled": (write("target/tokenizer.json", b"\xff\xfe{"), "tokenizer.json"),
    "nested without end": (write("target/tokenizer.json", DEEP), "tokenizer.json"),
    "another version's": (write("target/tokenizer.json", '{"version": "9.0"}'), "tokenizer.json"),
    "without a model": (without("target/tokenizer.json", "model"), "tokenizer.json"),
    "larger than the vocabulary": (
        edit_json(
            "target/tokenizer.json",
            lambda c: c["model"]["vocab"].update(
                {name: 1000 + n for n, name in enumerate(c["model"]["vocab"])}
            ),
        ),
        "its tokenizer.json does not fit",
    ),
    "its settings garbled": (write("target/tokenizer_config.json", "{"), "tokenizer_config.json"),
    "its settings nested without end": (
        write("target/tokenizer_config.json", DEEP),
        "tokenizer_config.json",
    ),
    "its settings not UTF-8": (
        write("target/tokenizer_config.json", b"\xff"),
        "tokenizer_config.json",
    ),
    "its settings a list": (write("target/tokenizer_config.json", "[]"), "tokenizer_config.json"),
    "an end token without text": (
        write("target/tokenizer_config.json", json.dumps({"eos_token": {"id": 3}})),
        "eos_token",
    ),
    "a template that does not compile": (
        write("target/tokenizer_config.json", json.dumps({"chat_template": "{% for %}"})),
        "chat template",
    ),
    "a template of a number": (
        write("target/tokenizer_config.json", json.dumps({"chat_template": 7})),
        "chat_template",
    ),
    "a template that is not UTF-8": (
        write("target/chat_template.jinja", b"\xff\xfe"),
        "chat_template.jinja",
    ),
    "a template that is a folder": (folder("target/chat_template.jinja"), "chat_template.jinja"),
    "a template that reaches for Python": (
        both(
            write("target/chat_template.jinja", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
            write("prompts.jsonl", '{"turns": ["a"]}\n' * 1 + '{"turns": ["b"]}\n{"turns": ["c"]}'),
        ),
        "chat template",
    ),
    "a template that never ends": (
        both(
            write(
                "target/chat_template.jinja",
                "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            ),
            write("prompts.jsonl", '{"turns": ["a"]}\n{"turns": ["b"]}\n{"turns": ["c"]}'),
        ),
        "chat template",
    ),
    "a template that divides by zero": (
        both(
            write("target/chat_template.jinja", "{{ 1 / 0 }}"),
            write("prompts.jsonl", '{"turns": ["a"]}\n{"turns": ["b"]}\n{"turns": ["c"]}'),
        ),
        "chat template",
    ),
    "a template that asks for what is not there": (
        both(
            write("target/chat_template.jinja", "{{ messages[9].content.upper() }}"),
            write("prompts.jsonl", '{"turns": ["a"]}\n{"turns": ["b"]}\n{"turns": ["c"]}'),
        ),
        "chat template",
    ),
}


def _first(found: dict[str, Any]) -> str:
    return sorted(name for name in found if name != "__metadata__")[0]


def _second(found: dict[str, Any]) -> str:
    return sorted(name for name in found if name != "__metadata__")[1]


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
    for folder_name, category in (("target", "target config"), ("semi_ar", "drafter config")):
        found += [
            Case(category, f"file {name}", sweep, says, write(f"{folder_name}/config.json", text))
            for name, (text, says) in _TEXTS.items()
        ]
        found += [
            Case(
                "safetensors",
                f"{folder_name}: {name}",
                sweep,
                f"{folder_name}/model.safetensors",
                edit_bytes(f"{folder_name}/model.safetensors", change),
            )
            for name, change in _HEADERS.items()
        ]
    found += [
        Case("weights", name, sweep, says, prepare) for name, (_, prepare, says) in _WEIGHTS.items()
    ]
    found += [
        Case("checkpoint files", name, sweep, says, prepare)
        for name, (prepare, says) in _FILES.items()
    ]
    found += [
        Case("tokenizer", name, sweep, says, prepare)
        for name, (prepare, says) in _TOKENIZERS.items()
    ]
    return found


_ = cut
