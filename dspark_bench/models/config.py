"""Shape of a decoder of a known family, read from a Hugging Face `config.json`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config_keys import DRAFT_KEYS, KnownKeys, check_bound, check_keys, shown
from dspark_bench.models.config_values import MAX_COUNT, ValueReader, read_json
from dspark_bench.models.families import QWEN3, Family, family_of, read_biases, read_windows
from dspark_bench.models.rope import Rope
from dspark_bench.models.rope_config import read_rope

GENERATION_CONFIG: Final = "generation_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetShape:
    """What engine, cache and drafters need to know of any target; names follow `config.json`.

    eos_token_ids: every token that ends an output, the one of `config.json` first;
    windows: positions that the queries of each layer see, themselves included, None for all before;
    empty where no layer has a window.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    eos_token_ids: tuple[int, ...]
    windows: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(TargetShape):
    """What the decoder needs to know besides, where it is computed here."""

    intermediate_size: int
    rms_norm_eps: float
    rope: Rope
    tie_word_embeddings: bool
    has_query_key_norm: bool = True
    has_qkv_bias: bool = False
    has_out_bias: bool = False


def read_model_config(directory: Path) -> ModelConfig:
    """A target's shape, with the end-of-sequence tokens of `generation_config.json` too.

    Serving engines stop at the tokens of both files, and many a chat model ends its turns with one
    that only the second names. Nothing else is read there: how to sample is the run's to say.
    Raises CheckpointError for what this decoder does not implement.
    """
    path = directory / "config.json"
    config = parse_model_config(read_json(path), str(path))
    further = generation_ends(directory, config.vocab_size)
    return replace(config, eos_token_ids=tuple(dict.fromkeys((*config.eos_token_ids, *further))))


def further_ends(directory: Path) -> tuple[int, ...]:
    """End-of-sequence tokens that `generation_config.json` adds to those of `config.json`."""
    own = token_ids(read_json(directory / "config.json").get("eos_token_id"), MAX_COUNT, "")
    return tuple(sorted(set(generation_ends(directory, MAX_COUNT)) - set(own)))


def generation_ends(directory: Path, vocab_size: int) -> tuple[int, ...]:
    """Those of `generation_config.json`, if there is one. Raises CheckpointError."""
    path = directory / GENERATION_CONFIG
    if not path.exists():
        return ()
    return token_ids(read_json(path).get("eos_token_id"), vocab_size, str(path))


def parse_model_config(data: dict[str, Any], source: str) -> ModelConfig:
    """Read a target's shape. Raises CheckpointError for what this decoder does not implement."""
    family = family_of(data, source)
    return _parse(data, source, family, family.keys)


def parse_draft_shape(
    data: dict[str, Any], source: str, family: Family = QWEN3, known: KnownKeys = DRAFT_KEYS
) -> ModelConfig:
    """Read a drafter's shape: of its own family, whatever its target is. Raises CheckpointError."""
    check_bound("model_type", data.get("model_type"), (family.model_type,), source)
    return _parse(data, source, family, known)


def _parse(data: dict[str, Any], source: str, family: Family, known: KnownKeys) -> ModelConfig:
    _refuse_quantised(data, source)
    check_keys(data, source, known)
    read = ValueReader(data, source)
    heads = read.count("num_attention_heads")
    kv_heads = read.count("num_key_value_heads", default=_default_kv_heads(data, family, heads))
    hidden = read.count("hidden_size")
    vocab = read.count("vocab_size")
    head_dim = read.count("head_dim", default=max(1, hidden // heads))
    depth = read.count("num_hidden_layers")
    positions = read.count(
        "max_position_embeddings", default=family.defaults["max_position_embeddings"]
    )
    if heads % kv_heads:
        raise CheckpointError(
            f"{source}: num_key_value_heads is {kv_heads}; valid: a divisor of {heads}, the "
            "number of attention heads"
        )
    if head_dim % 2:
        raise CheckpointError(f"{source}: head_dim is {head_dim}; valid: an even number")
    has_qkv_bias, has_out_bias = read_biases(family, read)
    return ModelConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=read.count("intermediate_size"),
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=read.positive("rms_norm_eps", 1e-6),
        rope=read_rope(data, source, positions),
        max_position_embeddings=positions,
        tie_word_embeddings=read.flag("tie_word_embeddings", default=False),
        eos_token_ids=token_ids(
            data.get("eos_token_id", family.defaults.get("eos_token_id")), vocab, source
        ),
        has_query_key_norm=family.has_query_key_norm,
        has_qkv_bias=has_qkv_bias,
        has_out_bias=has_out_bias,
        windows=read_windows(family, read, depth),
    )


def _default_kv_heads(data: dict[str, Any], family: Family, heads: int) -> int:
    """null stands for as many as query heads; a key that is absent for the family's own number."""
    is_null = "num_key_value_heads" in data
    return heads if is_null else family.defaults.get("num_key_value_heads", heads)


def _refuse_quantised(data: dict[str, Any], source: str) -> None:
    for key in ("quantization_config", "compression_config"):
        settings = data.get(key)
        if settings is not None:
            method = settings.get("quant_method") if isinstance(settings, dict) else settings
            raise CheckpointError(
                f"{source}: {key} names quantised weights (quant_method {method!r}), which are not "
                "read; valid: weights in bfloat16, float16 or float32, without that key"
            )


def token_ids(value: Any, vocab_size: int, source: str) -> tuple[int, ...]:
    """An `eos_token_id`: a token or a list of them. Raises CheckpointError."""
    if value is None:
        return ()
    ids = value if isinstance(value, list) else [value]
    for token in ids:
        if type(token) is not int or not 0 <= token < vocab_size:
            raise CheckpointError(
                f"{source}: eos_token_id is {shown(value)}; valid: 0 to {vocab_size - 1}, or a list"
            )
    return tuple(ids)
