"""Shape of a Qwen3-family decoder, read from a Hugging Face `config.json`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspark_bench.core.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What the decoder needs to know; names follow `config.json`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    max_position_embeddings: int
    tie_word_embeddings: bool
    eos_token_ids: tuple[int, ...]


def read_json(path: Path) -> dict[str, Any]:
    """Parse a JSON object. Raises CheckpointError naming the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} must hold a JSON object, found {type(data).__name__}")
    return data


def parse_model_config(data: dict[str, Any], source: str) -> ModelConfig:
    """Read the decoder's shape. Raises CheckpointError for what this decoder does not implement."""
    _refuse_unsupported(data, source)
    try:
        heads = int(data["num_attention_heads"])
        hidden = int(data["hidden_size"])
        return ModelConfig(
            vocab_size=int(data["vocab_size"]),
            hidden_size=hidden,
            intermediate_size=int(data["intermediate_size"]),
            num_hidden_layers=int(data["num_hidden_layers"]),
            num_attention_heads=heads,
            num_key_value_heads=int(data.get("num_key_value_heads", heads)),
            head_dim=int(data.get("head_dim") or hidden // heads),
            rms_norm_eps=float(data.get("rms_norm_eps", 1e-6)),
            rope_theta=_rope_theta(data, source),
            max_position_embeddings=int(data.get("max_position_embeddings", 32768)),
            tie_word_embeddings=bool(data.get("tie_word_embeddings", False)),
            eos_token_ids=_token_ids(data.get("eos_token_id")),
        )
    except KeyError as error:
        raise CheckpointError(f"{source} lacks the key {error.args[0]!r}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{source} holds a value of the wrong type: {error}") from error


def _refuse_unsupported(data: dict[str, Any], source: str) -> None:
    kind = data.get("model_type")
    if kind != "qwen3":
        raise CheckpointError(f"{source}: model_type is {kind!r}; supported: 'qwen3'")
    if data.get("attention_bias"):
        raise CheckpointError(f"{source}: attention_bias=true is not supported; valid: false")
    if data.get("use_sliding_window"):
        raise CheckpointError(f"{source}: use_sliding_window=true is not supported; valid: false")
    activation = data.get("hidden_act", "silu")
    if activation != "silu":
        raise CheckpointError(f"{source}: hidden_act is {activation!r}; supported: 'silu'")


def _rope_theta(data: dict[str, Any], source: str) -> float:
    rope = data.get("rope_parameters") or data.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise CheckpointError(f"{source}: rope_type is {kind!r}; supported: 'default'")
    return float(rope.get("rope_theta", data.get("rope_theta", 10000.0)))


def _token_ids(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return tuple(int(v) for v in value) if isinstance(value, list) else (int(value),)
