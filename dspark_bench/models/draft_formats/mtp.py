"""Modules for multi-token prediction, of four makers: DeepSeek, MiMo, Qwen, and speculators.

The first three lie in their targets' own files. What is computed here is a module whose layer is a
plain decoder layer; latent attention, gated attention, experts and partial rotation are refused by
the key that names them. DeepSeek's and MiMo's files may hold several modules, one for each depth.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import ModelConfig, parse_draft_shape
from dspark_bench.models.config_keys import KnownKeys, check_bound, check_keys, shown
from dspark_bench.models.config_values import ValueReader
from dspark_bench.models.draft_formats.speculators_keys import (
    CLASS_DEFAULTS,
    KIND,
    NAME,
    SETTINGS,
    SHAPE,
)
from dspark_bench.models.families import FULL, LLAMA, QWEN2, QWEN3, Family
from dspark_bench.models.mtp_config import MtpConfig, MtpNames, MtpStyle

DEPTHS: Final = ("num_nextn_predict_layers", "mtp_num_hidden_layers")
"""Keys of the number of modules."""
_SPELT: Final = ("token_layernorm", "hidden_layernorm", "input_proj", "final_layernorm")
DEEPSEEK: Final = "MTP of DeepSeek, inside its target"
MIMO: Final = MtpStyle(
    "MTP of MiMo, inside its target",
    MtpNames("model.mtp_layers.0.", *_SPELT),
    hidden_first=True,
    feeds_normed=True,
)
QWEN: Final = MtpStyle(
    "MTP of Qwen, inside its target",
    MtpNames(
        "mtp.", "pre_fc_norm_embedding", "pre_fc_norm_hidden", "fc", "norm", layer="layers.0."
    ),
    hidden_first=False,
    feeds_normed=True,
    has_centred_norms=True,
)
SPECULATORS: Final = MtpStyle(
    f"MTP of {NAME}",
    MtpNames("mtp_layers.0.", *_SPELT),
    hidden_first=False,
    feeds_normed=True,
)
_OF_THE_TARGET: Final = frozenset(
    {
        *("linear_conv_kernel_dim", "linear_key_head_dim", "linear_value_head_dim"),
        *("linear_num_key_heads", "linear_num_value_heads", "full_attention_interval"),
        *("decoder_sparse_step", "layer_types", "model_name_or_path"),
    }
)
"""Keys of a target's other layers."""


def deepseek_prefix(depth: int, module: int) -> str:
    """Of a module's tensors: modules are numbered on from the target's layers."""
    return f"model.layers.{depth + module}."


def deepseek(depth: int) -> MtpStyle:
    """The first module behind a target of `depth` layers."""
    names = MtpNames(
        *(deepseek_prefix(depth, 0), "enorm", "hnorm", "eh_proj", "shared_head.norm"),
        embed="embed_tokens",
        lm_head="shared_head.head",
    )
    return MtpStyle(DEEPSEEK, names, hidden_first=False, feeds_normed=False)


@dataclass(frozen=True, slots=True)
class _Inside:
    """A maker whose modules lie in the targets' files. style: by the target's number of layers;
    prefix: of module i behind a target of so many layers, None: there is one module alone.
    """

    family: Callable[[Mapping[str, Any]], Family]
    style: Callable[[int], MtpStyle]
    prefix: Callable[[int, int], str] | None = None


def _deepseek_family(data: Mapping[str, Any]) -> Family:
    return QWEN3 if data.get("use_qk_norm") is True else LLAMA


_MAKERS: Final = {
    **dict.fromkeys(
        ("deepseek_v3", "glm4_moe"), _Inside(_deepseek_family, deepseek, deepseek_prefix)
    ),
    "mimo": _Inside(
        lambda data: QWEN2, lambda depth: MIMO, lambda depth, i: f"model.mtp_layers.{i}."
    ),
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5", "qwen3_5_text"), _Inside(lambda data: QWEN3, lambda depth: QWEN)
    ),
}
"""By `model_type`."""


def is_mtp(data: Mapping[str, Any]) -> bool:
    """By speculators' type, or a known maker's target that says it has modules."""
    if data.get(KIND) == "mtp":
        return True
    return data.get("model_type") in _MAKERS and any(data.get(key) for key in DEPTHS)


def parse(data: dict[str, Any], source: str) -> MtpConfig:
    """Read and check a `config.json`. Raises CheckpointError."""
    if data.get(KIND) == "mtp":
        return _speculators(data, source)
    maker = _MAKERS[str(data["model_type"])]
    read = ValueReader(data, source)
    counts = [read.count(key) for key in DEPTHS if data.get(key) is not None]
    for key in DEPTHS:
        if data.get(key) is not None and maker.prefix is None:
            check_bound(key, read.count(key), (1,), source)
    family, num, depth = maker.family(data), max(counts), read.count("num_hidden_layers")
    model = _layer(data, source, family, family.keys)
    later: tuple[str, ...] = ()
    if maker.prefix is not None:
        later = tuple(maker.prefix(depth, module) for module in range(1, num))
    return MtpConfig(model, maker.style(depth), num if later else None, True, later)


def _speculators(data: dict[str, Any], source: str) -> MtpConfig:
    known = KnownKeys(
        frozenset({KIND, SHAPE, SETTINGS, "architectures", "model_type", *DEPTHS}),
        {"tie_word_embeddings": (False, True)},
        frozenset({"auto_map", "dtype", "torch_dtype", "transformers_version"})
        | {"speculators_version", "has_no_defaults_at_init", "base_model_ep_plan"},
    )
    check_keys(data, source, known)
    for key in DEPTHS:
        if data.get(key) is not None:
            check_bound(key, data[key], (1,), source)
    shape, nested = data.get(SHAPE), f"{source}: {SHAPE}"
    if not isinstance(shape, dict):
        raise CheckpointError(f"{source}: {SHAPE} is {shown(shape)}; valid: an object")
    families = {family.model_type: family for family in (QWEN3, LLAMA)}
    check_bound("model_type", shape.get("model_type"), tuple(families), nested)
    family = families[shape["model_type"]]
    filled = {**CLASS_DEFAULTS[family.model_type], **shape}
    model = _layer(filled, nested, family, family.keys)
    return MtpConfig(model, SPECULATORS, _num_steps(data, source), is_inside=False)


def _num_steps(data: Mapping[str, Any], source: str) -> int:
    """What the module was trained to draft: the first proposal method's number of tokens."""
    settings = data.get(SETTINGS)
    methods = settings.get("proposal_methods") if isinstance(settings, dict) else None
    first = methods[0] if isinstance(methods, list) and methods else None
    if not isinstance(first, dict):
        raise CheckpointError(
            f"{source}: {SETTINGS}.proposal_methods is {shown(methods)}; valid: a list of objects"
        )
    return ValueReader(first, f"{source}: {SETTINGS}.proposal_methods").count("speculative_tokens")


def _layer(data: dict[str, Any], source: str, family: Family, keys: KnownKeys) -> ModelConfig:
    """The shape of the module's one layer, which has full attention whatever the target's have."""
    kinds = data.get("layer_types") or [FULL]
    if isinstance(kinds, list) and FULL not in kinds:
        raise CheckpointError(
            f"{source}: layer_types holds {shown(kinds[0])} alone; valid: {FULL!r} among them"
        )
    bound = {**keys.bound, "use_sliding_window": (False,), "attn_output_gate": (False,)}
    bound = {key: valid for key, valid in bound.items() if key not in ("architectures", *DEPTHS)}
    known = KnownKeys(
        keys.read | {"architectures", *DEPTHS},
        bound,
        keys.harmless | _OF_THE_TARGET,
    )
    own = {key: value for key, value in data.items() if key not in ("layer_types", *DEPTHS)}
    own |= {"model_type": family.model_type, "num_hidden_layers": 1}
    model = parse_draft_shape(own, source, family, known)
    return replace(model, windows=(), tie_word_embeddings=False)
