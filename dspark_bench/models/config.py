"""Shape of a Qwen3-family decoder, read from a Hugging Face `config.json`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.json_text import load_json
from dspark_bench.models.config_keys import TARGET_KEYS, KnownKeys, check_keys, shown

MAX_COUNT: Final = 2**24
"""Above every layer, head, hidden size, vocabulary or context that a decoder has had."""
GENERATION_CONFIG: Final = "generation_config.json"
FULL_ATTENTION: Final = "full_attention"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What the decoder needs to know; names follow `config.json`.

    eos_token_ids: every token that ends an output, the one of `config.json` first.
    """

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


def read_model_config(directory: Path) -> ModelConfig:
    """A target's shape, with the end-of-sequence tokens of `generation_config.json` too.

    Serving engines stop at the tokens of both files, and many a chat model ends its turns with one
    that only the second names. Nothing else is read there: how to sample is the run's to say.
    Raises CheckpointError for what this decoder does not implement.
    """
    path = directory / "config.json"
    config = parse_model_config(read_json(path), str(path))
    further = _generation_ends(directory, config.vocab_size)
    return replace(config, eos_token_ids=tuple(dict.fromkeys((*config.eos_token_ids, *further))))


def further_ends(directory: Path) -> tuple[int, ...]:
    """End-of-sequence tokens that `generation_config.json` adds to those of `config.json`."""
    own = _token_ids(read_json(directory / "config.json").get("eos_token_id"), MAX_COUNT, "")
    return tuple(sorted(set(_generation_ends(directory, MAX_COUNT)) - set(own)))


def _generation_ends(directory: Path, vocab_size: int) -> tuple[int, ...]:
    path = directory / GENERATION_CONFIG
    if not path.exists():
        return ()
    return _token_ids(read_json(path).get("eos_token_id"), vocab_size, str(path))


def parse_model_config(
    data: dict[str, Any], source: str, known: KnownKeys = TARGET_KEYS
) -> ModelConfig:
    """Read the decoder's shape. Raises CheckpointError for what this decoder does not implement.

    known: the keys that the file may hold.
    """
    _refuse_unsupported(data, source, known)
    read = ValueReader(data, source)
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
        tie_word_embeddings=read.flag("tie_word_embeddings", default=False),
        eos_token_ids=_token_ids(data.get("eos_token_id"), vocab, source),
    )


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Values of a `config.json`. Each raises CheckpointError with the key, the value and what is
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

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise CheckpointError(f"{self.source}: {key} is {shown(value)}; valid: true or false")
        return value

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


def _refuse_unsupported(data: dict[str, Any], source: str, known: KnownKeys) -> None:
    kind = data.get("model_type")
    if kind != "qwen3":
        raise CheckpointError(f"{source}: model_type is {kind!r}; supported: 'qwen3'")
    for key in ("quantization_config", "compression_config"):
        settings = data.get(key)
        if settings is not None:
            method = settings.get("quant_method") if isinstance(settings, dict) else settings
            raise CheckpointError(
                f"{source}: {key} names quantised weights (quant_method {method!r}), which are not "
                "read; valid: weights in bfloat16, float16 or float32, without that key"
            )
    check_keys(data, source, known)
    kinds = data.get("layer_types") or []
    if not isinstance(kinds, list):
        raise CheckpointError(f"{source}: layer_types is {shown(kinds)}; valid: a list")
    other = [kind for kind in kinds if kind != FULL_ATTENTION]
    if other:
        raise CheckpointError(
            f"{source}: layer_types holds {shown(other[0])}; valid: {FULL_ATTENTION!r} for every "
            "layer"
        )


_ROPE_KEYS: Final = KnownKeys(
    frozenset({"rope_theta", "rope_type", "type"}), {"partial_rotary_factor": (1.0,)}, frozenset()
)


def _rope_theta(data: dict[str, Any], source: str) -> float:
    """The one rotary base. Raises CheckpointError for scaled positions, and where keys differ."""
    bases = {"rope_theta": data.get("rope_theta")}
    for key in ("rope_parameters", "rope_scaling"):
        rope = data.get(key)
        if rope is None:
            continue
        if not isinstance(rope, dict):
            raise CheckpointError(f"{source}: {key} is {shown(rope)}; valid: an object")
        for name in ("rope_type", "type"):
            kind = rope.get(name)
            if kind not in (None, "default"):
                raise CheckpointError(f"{source}: {name} is {shown(kind)}; supported: 'default'")
        check_keys(rope, f"{source}: {key}", _ROPE_KEYS)
        bases[f"{key}.rope_theta"] = rope.get("rope_theta")
    found = {
        key: check_positive(value, key, source) for key, value in bases.items() if value is not None
    }
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{key} is {value:g}" for key, value in found.items())
        raise CheckpointError(f"{source}: {listed}; they must be equal")
    return next(iter(found.values()), 10000.0)


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
