"""What is known of a model that transformers computes, from its configuration alone."""

import math
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.checkpoint import read_headers
from dspark_bench.models.config import TargetShape, generation_ends, token_ids
from dspark_bench.models.config_values import read_json

ATTENDING: Final = ("full_attention", "sliding_attention")
"""Layers that keep keys and values of positions, and nothing else."""
_GROWING_ROPE: Final = ("dynamic", "longrope")
"""Rotary positions whose base or factors depend on the longest position of a whole pass."""


def read_config(directory: Path) -> PretrainedConfig:
    """The text model's configuration. Raises CheckpointError for what cannot be a target."""
    path = directory / "config.json"
    data = read_json(path)
    kind = data.get("model_type")
    if "quantization_config" in data:
        raise CheckpointError(
            f"{path}: quantization_config names quantised weights, which are not read; valid: "
            "weights in bfloat16, float16 or float32, without that key"
        )
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        own = " (code of its own, auto_map, is never run)" if data.get("auto_map") else ""
        raise CheckpointError(
            f"{path}: model_type is {kind!r}, no language model of this transformers{own}"
        )
    try:
        whole = AutoConfig.from_pretrained(directory, local_files_only=True)
        config: PretrainedConfig = whole.get_text_config()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: transformers cannot read it: {reason}") from error
    _refuse(config, path)
    return config


def hosted_shape(directory: Path) -> TargetShape:
    """The shape, without the windows of its layers. Raises CheckpointError.

    Positions end where rotary factors would begin to depend on the longest request of a batch.
    """
    path = directory / "config.json"
    config = read_config(directory)
    heads = _count(config, "num_attention_heads", path)
    hidden, vocab = _count(config, "hidden_size", path), _count(config, "vocab_size", path)
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    own = token_ids(config.eos_token_id, vocab, str(path))
    return TargetShape(
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=_count(config, "num_hidden_layers", path),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=getattr(config, "head_dim", None) or hidden // heads,
        max_position_embeddings=_num_positions(config, path),
        eos_token_ids=tuple(dict.fromkeys((*own, *generation_ends(directory, vocab)))),
    )


def check_hosted_files(directory: Path) -> None:
    """Look at configuration and headers, without reading weights. Raises CheckpointError.

    Names and layouts of tensors are transformers' business, which renames and fuses many as it
    loads them. How many numbers there are does not change by that.
    """
    hosted_shape(directory)
    stored = sum(math.prod(header.shape) for header in read_headers(directory).values())
    config = read_config(directory)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    needed = sum(weight.numel() for weight in model.parameters())
    if stored < needed:
        raise CheckpointError(
            f"{directory}: its files hold {stored:,} numbers, and a {config.model_type} of this "
            f"config.json has {needed:,}"
        )


def _refuse(config: PretrainedConfig, path: Path) -> None:
    kind = config.model_type
    if config.is_encoder_decoder or getattr(config, "add_cross_attention", False):
        raise CheckpointError(f"{path}: {kind} has cross attention; valid: a decoder alone")
    others = set(getattr(config, "layer_types", None) or ()) - set(ATTENDING)
    if others:
        raise CheckpointError(
            f"{path}: {kind} has layers of the type {min(others)}, whose state is no row of a "
            f"cache; valid: {' and '.join(ATTENDING)}"
        )
    num_shared = getattr(config, "num_kv_shared_layers", 0)
    if num_shared:
        raise CheckpointError(
            f"{path}: {num_shared} layers of {kind} share keys and values with others "
            "(num_kv_shared_layers); valid for a target: 0"
        )


def _num_positions(config: PretrainedConfig, path: Path) -> int:
    most = _count(config, "max_position_embeddings", path)
    settings = _rope_settings(config)
    originals = [most]
    for rope in settings:
        if rope.get("rope_type", rope.get("type")) in _GROWING_ROPE:
            original = rope.get("original_max_position_embeddings")
            own = getattr(config, "original_max_position_embeddings", None)
            originals.append(int(original or own or most))
    return min(originals)


def _rope_settings(config: PretrainedConfig) -> list[dict[str, Any]]:
    """Of all kinds of layers: one dictionary, or one for each type."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    nested = [value for value in rope.values() if isinstance(value, dict)]
    return nested or [rope]


def _count(config: PretrainedConfig, name: str, path: Path) -> int:
    value = getattr(config, name, None)
    if type(value) is not int or value < 1:
        raise CheckpointError(
            f"{path}: {config.model_type} says {name} {value!r}; valid for a target: a number "
            "above 0"
        )
    return value
