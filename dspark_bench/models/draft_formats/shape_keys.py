"""The shape of a drafter's layers as keys of a `config.json`, for every format that is written."""

from typing import Any

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import ModelConfig
from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.families import LLAMA, QWEN3
from dspark_bench.models.rope import Rope, RopeKind


def shape_keys(model: ModelConfig) -> dict[str, Any]:
    """Of a Qwen3 decoder, or of a Llama one where query and key heads have no norms."""
    family = QWEN3 if model.has_query_key_norm else LLAMA
    ends = model.eos_token_ids
    return {
        "model_type": family.model_type,
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size,
        "num_hidden_layers": model.num_hidden_layers,
        "num_attention_heads": model.num_attention_heads,
        "num_key_value_heads": model.num_key_value_heads,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": model.rms_norm_eps,
        "max_position_embeddings": model.max_position_embeddings,
        "attention_bias": model.has_qkv_bias,
        "eos_token_id": list(ends) if len(ends) > 1 else next(iter(ends), None),
        "tie_word_embeddings": False,
        "rope_theta": model.rope.theta,
    }


def rope_keys(rope: Rope) -> dict[str, Any]:
    """What `rope_parameters` holds, but for the base."""
    keys: dict[str, Any] = {"rope_type": rope.kind.value}
    if rope.kind is not RopeKind.DEFAULT:
        keys["factor"] = rope.factor
    if rope.kind in (RopeKind.LLAMA3, RopeKind.YARN):
        keys["original_max_position_embeddings"] = rope.original_positions
    if rope.kind is RopeKind.LLAMA3:
        keys["low_freq_factor"] = rope.low_freq_factor
        keys["high_freq_factor"] = rope.high_freq_factor
    if rope.kind is RopeKind.YARN:
        keys["attention_factor"] = rope.attention_factor
        keys["beta_fast"], keys["beta_slow"] = rope.beta_fast, rope.beta_slow
        keys["truncate"] = rope.is_truncated
    return keys


def new_keys(model: ModelConfig) -> dict[str, Any]:
    """`shape_keys` with positions in the manner of transformers 5."""
    theta = {"rope_theta": model.rope.theta}
    return {**shape_keys(model), "rope_parameters": {**rope_keys(model.rope), **theta}}


def old_keys(model: ModelConfig) -> dict[str, Any]:
    """`shape_keys` with positions in the manner of earlier releases, which name the kind `type`."""
    scaled = rope_keys(model.rope)
    is_plain = model.rope.kind is RopeKind.DEFAULT
    scaling = None if is_plain else {**scaled, "type": scaled["rope_type"]}
    return {**shape_keys(model), "rope_scaling": scaling}


def refuse(name: str, config: DraftConfig, **unheld: bool) -> None:
    """Raise CheckpointError for the first thing that a format has no place for, named by its
    key with underscores for blanks.
    """
    for what, is_there in unheld.items():
        if is_there:
            raise CheckpointError(
                f"{name} cannot hold {what.replace('_', ' ')}, which this {config.layout.name} "
                f"drafter ({config.format_name}) has"
            )
