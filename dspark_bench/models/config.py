"""Shape of a Qwen3-family decoder, read from a Hugging Face `config.json`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.json_text import load_json

MAX_COUNT: Final = 2**24
"""Above every layer, head, hidden size, vocabulary or context that a decoder has had."""
_LONGEST_SHOWN = 60


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
        data = load_json(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} must hold a JSON object, found {type(data).__name__}")
    return data


def parse_model_config(data: dict[str, Any], source: str) -> ModelConfig:
    """Read the decoder's shape. Raises CheckpointError for what this decoder does not implement."""
    _refuse_unsupported(data, source)
    read = NumberReader(data, source)
    heads = read.count("num_attention_heads")
    kv_heads = read.count("num_key_value_heads", default=heads)
    hidden = read.count("hidden_size")
    vocab = read.count("vocab_size")
    head_dim = read.count("head_dim", default=max(1, hidden // heads))
    if heads % kv_heads:
        raise CheckpointError(
            f"{source}: num_key_value_heads is {kv_heads}; valid: a divisor of {heads}, the "
            "number of attention heads"
        )
    if head_dim % 2:
        raise CheckpointError(f"{source}: head_dim is {head_dim}; valid: an even number")
    return ModelConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=read.count("intermediate_size"),
        num_hidden_layers=read.count("num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=read.positive("rms_norm_eps", 1e-6),
        rope_theta=_rope_theta(data, source),
        max_position_embeddings=read.count("max_position_embeddings", default=32768),
        tie_word_embeddings=bool(data.get("tie_word_embeddings", False)),
        eos_token_ids=_token_ids(data.get("eos_token_id"), vocab, source),
    )


@dataclass(frozen=True, slots=True)
class NumberReader:
    """Numbers of a `config.json`. Each raises CheckpointError with the key, the value and what is
    valid; a key that is absent or null takes the default, if there is one.
    """

    data: dict[str, Any]
    source: str

    def count(
        self, key: str, least: int = 1, most: int = MAX_COUNT, default: int | None = None
    ) -> int:
        """A whole number from `least` to `most`."""
        value = self._get(key, default)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not (is_whole and least <= value <= most):
            raise CheckpointError(
                f"{self.source}: {key} is {shown(value)}; valid: a whole number, {least} to {most}"
            )
        return int(value)

    def positive(self, key: str, default: float) -> float:
        """A finite number above 0."""
        return check_positive(self._get(key, default), key, self.source)

    def _get(self, key: str, default: object) -> Any:
        value = self.data.get(key)
        if value is None and default is None:
            raise CheckpointError(f"{self.source} lacks the key {key!r}")
        return default if value is None else value


def check_positive(value: Any, key: str, source: str) -> float:
    """A finite number above 0. Raises CheckpointError."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 < value < float("inf")):
        raise CheckpointError(f"{source}: {key} is {shown(value)}; valid: a number above 0")
    return float(value)


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


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
    if not isinstance(rope, dict):
        raise CheckpointError(f"{source}: rope_parameters is {shown(rope)}; valid: an object")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise CheckpointError(f"{source}: rope_type is {kind!r}; supported: 'default'")
    theta = rope.get("rope_theta", data.get("rope_theta", 10000.0))
    return check_positive(theta, "rope_theta", source)


def _token_ids(value: Any, vocab_size: int, source: str) -> tuple[int, ...]:
    if value is None:
        return ()
    ids = value if isinstance(value, list) else [value]
    for token in ids:
        if type(token) is not int or not 0 <= token < vocab_size:
            raise CheckpointError(
                f"{source}: eos_token_id is {shown(value)}; valid: 0 to {vocab_size - 1}, or a list"
            )
    return tuple(ids)
