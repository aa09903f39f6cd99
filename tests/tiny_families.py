"""Tiny models of every decoder family, made on the spot with transformers."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import TargetModel
from tests import tiny

WINDOW: Final = 7
ORIGINAL: Final = 16
"""Positions that the scaled models were trained for, in name; tests go far beyond."""
_CLASSES: Final[dict[str, tuple[Any, Any]]] = {
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
}
_LINEAR: Final = {"rope_type": "linear", "factor": 4.0}
_YARN: Final = {
    "rope_type": "yarn",
    "factor": 16.0,
    "original_max_position_embeddings": ORIGINAL,
}
_LLAMA3: Final = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": ORIGINAL,
}
_SWITCHED: Final = {"use_sliding_window": True, "sliding_window": WINDOW}
MODELS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "qwen3-biased": ("qwen3", {"attention_bias": True, "head_dim": 16}),
    "qwen3-yarn": ("qwen3", {"rope_parameters": _YARN, "head_dim": 32}),
    "qwen3-window": ("qwen3", {**_SWITCHED, "max_window_layers": 1, "head_dim": 16}),
    "qwen2": ("qwen2", {}),
    "qwen2-untied-yarn": ("qwen2", {"rope_parameters": _YARN, "tie_word_embeddings": False}),
    "qwen2-window": ("qwen2", {**_SWITCHED, "max_window_layers": 2}),
    "qwen2-mixed": (
        "qwen2",
        {**_SWITCHED, "layer_types": ["sliding_attention", "full_attention"] * 2},
    ),
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama-tied-biased": ("llama", {"attention_bias": True}),
    "llama-one-head": ("llama", {"num_key_value_heads": 1, "head_dim": 32}),
    "llama-many-heads": (
        "llama",
        {"num_attention_heads": 16, "num_key_value_heads": 1, "head_dim": 16},
    ),
    "llama-linear": ("llama", {"rope_parameters": _LINEAR}),
    "llama-llama3": ("llama", {"rope_parameters": _LLAMA3}),
    "llama-yarn": ("llama", {"rope_parameters": {**_YARN, "beta_fast": 8.0, "beta_slow": 0.5}}),
    "llama-yarn-untruncated": ("llama", {"rope_parameters": {**_YARN, "truncate": False}}),
    "llama-yarn-factor": ("llama", {"rope_parameters": {**_YARN, "attention_factor": 0.8}}),
    "llama-yarn-mscale": (
        "llama",
        {"rope_parameters": {**_YARN, "mscale": 1.5, "mscale_all_dim": 0.5}},
    ),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral-window": ("mistral", {"sliding_window": WINDOW}),
    "mistral-window-of-one": ("mistral", {"sliding_window": 1, "head_dim": 32}),
}
"""By name: the family, and what differs from `_SHAPE`."""
_SHAPE: Final[dict[str, Any]] = {
    "vocab_size": tiny.VOCAB,
    "hidden_size": 64,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "max_position_embeddings": 256,
    "eos_token_id": tiny.EOS,
}


@cache
def reference(name: str) -> PreTrainedModel:
    """transformers' model, with weights large enough for every part of it to show."""
    family, own = MODELS[name]
    config_class, model_class = _CLASSES[family]
    torch.manual_seed(0)
    model: PreTrainedModel = model_class(config_class(**{**_SHAPE, **own})).eval()
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.2)
            elif key.endswith("bias"):
                weight.normal_(0, 0.5)
            else:
                weight.uniform_(0.5, 1.5)
    return model


@cache
def folder(name: str) -> Path:
    """Its directory, as transformers saves it."""
    path = tiny.root() / f"family-{name}"
    reference(name).save_pretrained(path)
    return path


@cache
def target(name: str, kernels: Wanted = Wanted.AUTO) -> TargetModel:
    """Ours, read from that directory."""
    return TargetModel.load(folder(name), torch.float32, tiny.CPU, kernels)


def written(name: str) -> dict[str, Any]:
    """What stands in its config.json."""
    found: dict[str, Any] = json.loads((folder(name) / "config.json").read_text())
    return found
