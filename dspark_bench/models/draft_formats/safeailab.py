"""SafeAILab's EAGLE-3, as its authors, SpecForge, AngelSlim and vLLM write it.

One Llama layer without query and key norms, whose attention reads [embedding; hidden]; a head of
its own over a reduced vocabulary, in which `d2t` holds offsets: draft token i is target token
i + d2t[i]. It reads the *inputs* of layers 2, n // 2 and n - 3 of the target (the authors'
`modeling_llama_kv.py`), unless the file names others.
"""

from collections.abc import Mapping
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import parse_draft_shape
from dspark_bench.models.config_keys import (
    DECODER_BOUND,
    DECODER_READ,
    HARMLESS,
    KnownKeys,
    check_keys,
    shown,
)
from dspark_bench.models.config_values import ValueReader
from dspark_bench.models.draft_config import EAGLE3, DraftConfig, Layout
from dspark_bench.models.draft_formats.format import DraftFormat, architecture_of, read_layer_ids
from dspark_bench.models.draft_formats.shape_keys import old_keys, refuse
from dspark_bench.models.families import LLAMA

NAME: Final = "EAGLE-3 of SafeAILab"
_OWN: Final = ("LlamaForCausalLMEagle3", "Eagle3LlamaForCausalLM")
_TARGETS: Final = "LlamaForCausalLM"
"""What the authors' own files name: a head is known by its `draft_vocab_size` alone."""
LAYERS: Final = "eagle_aux_hidden_state_layer_ids"
_NESTED: Final = "eagle_config"
_KEYS: Final = KnownKeys(
    DECODER_READ
    | {
        "architectures",
        "attention_bias",
        "draft_vocab_size",
        "target_hidden_size",
        LAYERS,
        _NESTED,
    },
    {
        **DECODER_BOUND,
        **dict.fromkeys(("qkv_bias", "use_qk_norm", "use_sliding_window"), (False,)),
        # the residual is the un-normed hidden state, and nothing is normed before `fc`
        **dict.fromkeys(("norm_before_residual", "norm_before_fc", "fc_norm"), (False,)),
        **dict.fromkeys(("norm_output", "parallel_drafting"), (False,)),
        "num_aux_hidden_states": (3,),
    },
    (HARMLESS | {"target_model_name_or_path", "base_model_name_or_path"}) - {"sliding_window"},
)
_NESTED_KEYS: Final = KnownKeys(frozenset({LAYERS}), {"use_aux_hidden_state": (True,)}, frozenset())


def layout_of(data: Mapping[str, Any]) -> Layout | None:
    """By architecture, or by a draft vocabulary in what is otherwise a Llama model's file."""
    architecture = architecture_of(data)
    is_head = architecture == _TARGETS and data.get("draft_vocab_size") is not None
    return EAGLE3 if architecture in _OWN or is_head else None


def parse(data: dict[str, Any], source: str) -> DraftConfig:
    """Read and check a `config.json`. Raises CheckpointError.

    `num_hidden_layers` is not asked: some heads repeat their target's, and all have one layer.
    """
    model = parse_draft_shape({**data, "num_hidden_layers": 1}, source, LLAMA, _KEYS)
    read = ValueReader(data, source)
    stated = input_layers(data, LAYERS, source) if data.get(LAYERS) is not None else None
    hidden = model.hidden_size
    return DraftConfig(
        model=model,
        format_name=NAME,
        layout=EAGLE3,
        architecture=str(architecture_of(data)),
        max_gamma=None,
        target_layer_ids=stated,
        num_target_layers=None,
        mask_token_id=0,
        markov_rank=0,
        head_type="vanilla",
        has_confidence=False,
        confidence_with_markov=False,
        target_hidden_size=read.count("target_hidden_size", default=hidden),
        draft_vocab_size=read.count("draft_vocab_size", most=model.vocab_size),
        has_own_head=True,
        unclear_layer_ids=() if stated is not None else _nested_layers(data, source),
        layer_prefixes=("midlayer.", "layers.0."),
    )


def input_layers(data: Mapping[str, Any], key: str, source: str) -> tuple[int, ...]:
    """Layers whose inputs are read, as those whose outputs they are. Raises CheckpointError."""
    ids = read_layer_ids(data, key, source)
    if len(ids) != 3:
        raise CheckpointError(f"{source}: {key} is {shown(list(ids))}; valid: three layers")
    return tuple(layer - 1 for layer in ids)


def _nested_layers(data: Mapping[str, Any], source: str) -> tuple[int, ...]:
    nested = data.get(_NESTED)
    if nested is None:
        return ()
    if not isinstance(nested, dict):
        raise CheckpointError(f"{source}: {_NESTED} is {shown(nested)}; valid: an object")
    check_keys(nested, f"{source}: {_NESTED}", _NESTED_KEYS)
    if nested.get(LAYERS) is None:
        return ()
    return tuple(layer + 1 for layer in input_layers(nested, LAYERS, f"{source}: {_NESTED}"))


def write(config: DraftConfig) -> dict[str, Any]:
    """The `config.json` of a drafter. Raises CheckpointError for what it has no place for."""
    refuse(
        NAME,
        config,
        norms_of_query_and_key_heads=config.model.has_query_key_norm,
        a_normed_residual=config.norms_residual,
        norms_before_fc=config.norms_features,
        a_confidence_head=config.has_confidence,
        another_number_of_layers_read_than_3=config.num_taps != 3,
    )
    data = {
        **old_keys(config.model),
        "architectures": [_OWN[0]],
        "draft_vocab_size": config.draft_vocab_size,
    }
    if config.target_layer_ids is not None:
        data[LAYERS] = [layer + 1 for layer in config.target_layer_ids]
    if config.target_hidden_size != config.model.hidden_size:
        data["target_hidden_size"] = config.target_hidden_size
    return data


FORMAT: Final = DraftFormat(
    NAME,
    "safeailab",
    {EAGLE3: (*_OWN, _TARGETS)},
    layout_of,
    parse,
    write,
    needs_head=(EAGLE3,),
    eagle_prefix="midlayer.",
)
