"""The decoder families that are computed here, and what sets each apart from the others.

All are pre-norm decoders with rotary positions, grouped queries and SwiGLU. They differ in norms of
query and key heads, in biases, in sliding windows, and in what a key stands for that a file leaves
out. Beyond this module and the parser of `config.json` nothing asks for a family.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config_keys import (
    DECODER_BOUND,
    DECODER_READ,
    HARMLESS,
    KnownKeys,
    shown,
)
from dspark_bench.models.config_values import ValueReader

FULL: Final = "full_attention"
SLIDING: Final = "sliding_attention"
WINDOW_KEYS: Final = frozenset({"use_sliding_window", "sliding_window", "max_window_layers"})
_DEFAULT_WINDOW: Final = 4096
_DEFAULT_FULL_LAYERS: Final = 28


class Biases(Enum):
    """Of the four products of attention."""

    NONE = "none"
    QKV = "of query, key and value"
    CONFIGURED = "of all four, if attention_bias is true"


class Windows(Enum):
    """Which layers see a window of positions instead of everything before."""

    NONE = "none"
    EVERY = "every layer, if sliding_window is a number"
    SWITCHED = "those that layer_types or max_window_layers name, if use_sliding_window is true"


@dataclass(frozen=True, slots=True)
class Family:
    """What holds for one `model_type`.

    defaults: what transformers takes for keys that a file leaves out.
    """

    model_type: str
    architectures: tuple[str, ...]
    has_query_key_norm: bool
    biases: Biases
    windows: Windows
    defaults: Mapping[str, int]

    @property
    def keys(self) -> KnownKeys:
        """Of a target's `config.json`."""
        own: dict[str, tuple[Any, ...]] = {
            "architectures": (*([name] for name in self.architectures), []),
            "use_qk_norm": (self.has_query_key_norm,),
            "qkv_bias": (self.biases is Biases.QKV,),
            "attention_bias": (self.biases is Biases.QKV,),
            "use_sliding_window": (False,),
        }
        read = set(DECODER_READ)
        if self.biases is Biases.CONFIGURED:
            read.add("attention_bias")
        if self.windows is Windows.SWITCHED:
            read |= WINDOW_KEYS
        if self.windows is Windows.EVERY:
            read.add("sliding_window")
        bound = {**DECODER_BOUND, **own}
        bound = {key: valid for key, valid in bound.items() if key not in read}
        return KnownKeys(frozenset(read), bound, HARMLESS - read)


QWEN3: Final = Family(
    "qwen3",
    ("Qwen3ForCausalLM",),
    has_query_key_norm=True,
    biases=Biases.CONFIGURED,
    windows=Windows.SWITCHED,
    defaults={"max_position_embeddings": 32768},
)
QWEN2: Final = Family(
    "qwen2",
    ("Qwen2ForCausalLM",),
    has_query_key_norm=False,
    biases=Biases.QKV,
    windows=Windows.SWITCHED,
    defaults={"max_position_embeddings": 32768},
)
LLAMA: Final = Family(
    "llama",
    ("LlamaForCausalLM",),
    has_query_key_norm=False,
    biases=Biases.CONFIGURED,
    windows=Windows.NONE,
    defaults={"max_position_embeddings": 2048, "eos_token_id": 2},
)
MISTRAL: Final = Family(
    "mistral",
    ("MistralForCausalLM",),
    has_query_key_norm=False,
    biases=Biases.NONE,
    windows=Windows.EVERY,
    defaults={"max_position_embeddings": 131072, "num_key_value_heads": 8, "eos_token_id": 2},
)
FAMILIES: Final = {family.model_type: family for family in (QWEN3, QWEN2, LLAMA, MISTRAL)}


def family_of(data: Mapping[str, Any], source: str) -> Family:
    """The family of a target's `config.json`. Raises CheckpointError for one not known here."""
    kind = data.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        listed = ", ".join(map(repr, FAMILIES))
        raise CheckpointError(
            f"{source}: model_type is {shown(kind)}; supported: {listed} (others with "
            "target.backend=transformers)"
        )
    return FAMILIES[kind]


def read_biases(family: Family, read: ValueReader) -> tuple[bool, bool]:
    """Whether query, key and value have biases, and whether the output has one."""
    if family.biases is Biases.CONFIGURED:
        has_all = read.flag("attention_bias", default=False)
        return has_all, has_all
    return family.biases is Biases.QKV, False


def read_windows(family: Family, read: ValueReader, depth: int) -> tuple[int | None, ...]:
    """How many positions each layer's queries see, themselves included; None: all before.

    Empty where no layer has a window. Raises CheckpointError for layers of another kind.
    """
    window = _window(family, read)
    kinds = read.data.get("layer_types")
    if kinds is not None:
        _check_kinds(kinds, family, window, depth, read.source)
    if window is None:
        return ()
    if kinds is None:
        num_full = 0
        if family.windows is Windows.SWITCHED:
            num_full = read.count("max_window_layers", least=0, default=_DEFAULT_FULL_LAYERS)
        kinds = [FULL if layer < num_full else SLIDING for layer in range(depth)]
    return tuple(window if kind == SLIDING else None for kind in kinds)


def _window(family: Family, read: ValueReader) -> int | None:
    """A key that is absent stands for transformers' default, null for no window."""
    if family.windows is Windows.NONE:
        return None
    if family.windows is Windows.SWITCHED and not read.flag("use_sliding_window", default=False):
        return None
    if "sliding_window" in read.data and read.data["sliding_window"] is None:
        return None
    return read.count("sliding_window", default=_DEFAULT_WINDOW)


def _check_kinds(
    kinds: object, family: Family, window: int | None, depth: int, source: str
) -> None:
    if not isinstance(kinds, list):
        raise CheckpointError(f"{source}: layer_types is {shown(kinds)}; valid: a list")
    valid: tuple[str, ...] = (FULL,) if window is None else (SLIDING,)
    if window is not None and family.windows is Windows.SWITCHED:
        valid = (FULL, SLIDING)
    other = [kind for kind in kinds if kind not in valid]
    if other:
        listed = " or ".join(map(repr, valid))
        why = "no sliding_window is in use" if window is None else f"sliding_window is {window}"
        raise CheckpointError(
            f"{source}: layer_types holds {shown(other[0])}; valid: {listed} for every layer, as "
            f"{why}"
        )
    if window is not None and len(kinds) != depth:
        raise CheckpointError(
            f"{source}: layer_types has {len(kinds)} entries; valid: {depth}, one a layer"
        )
