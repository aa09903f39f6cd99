"""The rotary embedding that a `config.json` names, in the keys of old and of new files.

transformers 5 writes `rope_parameters`, earlier releases `rope_theta` and `rope_scaling`. A file
may hold both, if they say the same.
"""

from collections.abc import Mapping
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config_keys import KnownKeys, check_keys, shown
from dspark_bench.models.config_values import ValueReader, check_positive
from dspark_bench.models.rope import Rope, RopeKind, yarn_attention_factor

DEFAULT_THETA: Final = 10000.0
_PLACES: Final = ("rope_parameters", "rope_scaling")
_COMMON: Final = frozenset({"rope_theta", "rope_type", "type"})
_OWN: Final = {
    RopeKind.DEFAULT: frozenset[str](),
    RopeKind.LINEAR: frozenset({"factor"}),
    RopeKind.LLAMA3: frozenset(
        {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}
    ),
    RopeKind.YARN: frozenset(
        {
            *("factor", "original_max_position_embeddings", "attention_factor", "truncate"),
            *("beta_fast", "beta_slow", "mscale", "mscale_all_dim"),
        }
    ),
}


def read_rope(data: Mapping[str, Any], source: str, max_positions: int) -> Rope:
    """The one rotary embedding. Raises CheckpointError for another kind, for a key that does not
    belong to its kind, and where two places differ.

    max_positions: `max_position_embeddings`, which the original length is where none is given.
    """
    found: dict[str, dict[str, Any]] = {}
    for key in _PLACES:
        value = data.get(key)
        if value is not None and not isinstance(value, dict):
            raise CheckpointError(f"{source}: {key} is {shown(value)}; valid: an object")
        if value:
            found[key] = value
    theta = _theta(data, found, source)
    ropes = [_parse(v, f"{source}: {key}", theta, max_positions) for key, v in found.items()]
    if len(set(ropes)) > 1:
        raise CheckpointError(f"{source}: {' and '.join(found)} differ; they must say the same")
    return ropes[0] if ropes else Rope(theta)


def _theta(data: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], source: str) -> float:
    bases = {"rope_theta": data.get("rope_theta")}
    bases |= {f"{key}.rope_theta": rope.get("rope_theta") for key, rope in found.items()}
    given = {
        key: check_positive(value, key, source) for key, value in bases.items() if value is not None
    }
    if len(set(given.values())) > 1:
        listed = ", ".join(f"{key} is {value:g}" for key, value in given.items())
        raise CheckpointError(f"{source}: {listed}; they must be equal")
    return next(iter(given.values()), DEFAULT_THETA)


def _kind(rope: Mapping[str, Any], source: str) -> RopeKind:
    kinds = {name: rope[name] for name in ("rope_type", "type") if rope.get(name) is not None}
    for name, kind in kinds.items():
        if kind not in list(RopeKind):
            listed = ", ".join(repr(one.value) for one in RopeKind)
            raise CheckpointError(f"{source}: {name} is {shown(kind)}; supported: {listed}")
    if len(set(kinds.values())) > 1:
        raise CheckpointError(f"{source}: rope_type and type differ; they must say the same")
    return RopeKind(next(iter(kinds.values()), RopeKind.DEFAULT))


def _parse(rope: dict[str, Any], source: str, theta: float, max_positions: int) -> Rope:
    kind = _kind(rope, source)
    known = KnownKeys(_COMMON | _OWN[kind], {"partial_rotary_factor": (1.0,)}, frozenset())
    check_keys(rope, source, known)
    if kind is RopeKind.DEFAULT:
        return Rope(theta)
    read = ValueReader(rope, source)
    factor = read.positive("factor")
    if kind is RopeKind.LINEAR:
        return Rope(theta, kind, factor)
    original = read.count("original_max_position_embeddings", default=max_positions)
    if kind is RopeKind.LLAMA3:
        low, high = read.positive("low_freq_factor"), read.positive("high_freq_factor")
        if low >= high:
            raise CheckpointError(
                f"{source}: high_freq_factor is {high:g}; valid: above low_freq_factor, {low:g}"
            )
        return Rope(theta, kind, factor, original, low_freq_factor=low, high_freq_factor=high)
    if theta <= 1:
        raise CheckpointError(f"{source}: rope_theta is {theta:g}; valid for 'yarn': above 1")
    return Rope(
        theta,
        kind,
        factor,
        original,
        attention_factor=_attention_factor(read, factor),
        beta_fast=read.positive("beta_fast", 32.0),
        beta_slow=read.positive("beta_slow", 1.0),
        is_truncated=read.flag("truncate", default=True),
    )


def _attention_factor(read: ValueReader, factor: float) -> float:
    """As given, or YaRN's own; with both `mscale` keys, a ratio of two that they weigh."""
    if read.data.get("attention_factor") is not None:
        return read.positive("attention_factor")
    keys = ("mscale", "mscale_all_dim")
    if any(read.data.get(key) is None for key in keys):
        return yarn_attention_factor(factor)
    above, below = (1 + read.positive(key) * (yarn_attention_factor(factor) - 1) for key in keys)
    return above / below
