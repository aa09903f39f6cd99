"""speculators' format: eagle3, dflash and dspark, as RedHat's and others' releases have it.

The layers' shape stands under `transformer_layer_config`, written as what differs from its class's
defaults: a key that is absent there has that default. Layers are counted by their inputs: an id is
DeepSpec's plus one. `sample_from_anchor` says whether slot 0 drafts; without it the first slot
behind the anchor does, and a block drafts one token less than it has slots.
"""

from collections.abc import Mapping
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import ModelConfig, parse_draft_shape
from dspark_bench.models.config_keys import (
    DECODER_BOUND,
    DECODER_READ,
    HARMLESS,
    KnownKeys,
    check_bound,
    check_keys,
)
from dspark_bench.models.config_values import MAX_COUNT, ValueReader
from dspark_bench.models.draft_config import DFLASH, DSPARK, EAGLE3, DraftConfig, Layout
from dspark_bench.models.draft_formats.format import (
    DraftFormat,
    architecture_of,
    full_attention,
    read_head_type,
    read_layer_ids,
)
from dspark_bench.models.families import LLAMA, QWEN3, WINDOW_KEYS, Family

NAME: Final = "speculators"
KIND: Final = "speculators_model_type"
SHAPE: Final = "transformer_layer_config"
EAGLE3_LAYERS: Final = "eagle_aux_hidden_state_layer_ids"
LAYERS: Final = "aux_hidden_state_layer_ids"
FROM_ANCHOR: Final = "sample_from_anchor"
_LAYOUTS: Final = {"eagle3": EAGLE3, "dflash": DFLASH, "dspark": DSPARK}
_SETTINGS: Final = "speculators_config"
CLASS_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    LLAMA.model_type: {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
    },
    QWEN3.model_type: {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "intermediate_size": 22016,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "head_dim": 128,
        "max_position_embeddings": 32768,
    },
}
"""Of transformers' configurations, by `model_type`."""
_SHAPE_READ: Final = DECODER_READ | {"architectures"}
_SHAPE_BOUND: Final[dict[str, tuple[Any, ...]]] = {**DECODER_BOUND, "qkv_bias": (False,)}
_HARMLESS: Final = HARMLESS | {
    *("speculators_version", "base_model_ep_plan", "has_no_defaults_at_init", "num_anchors"),
    *("max_anchors", "embed_requires_grad", "enable_sp_ulysses", "ce_loss_alpha", "l1_loss_alpha"),
    *("confidence_head_alpha", "loss_decay_gamma", "lambda_base_start", "lambda_base_decay_ratio"),
    *("pure_draft_prefix_len", "emb_dim", "gru_hidden_dim", "auf", "sliding_window_non_causal"),
}
"""What only trains, and what belongs to variants that other keys would name."""
_READ: Final = frozenset(
    {
        *(KIND, SHAPE, _SETTINGS, "architectures", "model_type"),
        *("draft_vocab_size", "target_hidden_size"),
    }
)
_BLOCK_READ: Final = _READ | {LAYERS, "block_size", "mask_token_id", FROM_ANCHOR}
_BOUND: Final[dict[str, tuple[Any, ...]]] = {
    **DECODER_BOUND,
    "tie_word_embeddings": (False,),
    "use_aux_hidden_state": (True,),
}
_KEYS: Final = {
    EAGLE3: KnownKeys(
        _READ | {EAGLE3_LAYERS, "norm_before_residual", "norm_before_fc"},
        {**_BOUND, **dict.fromkeys(("fc_norm", "norm_output", "parallel_drafting"), (False,))},
        _HARMLESS,
    ),
    DFLASH: KnownKeys(
        _BLOCK_READ,
        {**_BOUND, "projector_type": ("dflash",), "shift_label": (False,)},
        _HARMLESS,
    ),
    DSPARK: KnownKeys(
        _BLOCK_READ
        | {"markov_rank", "markov_head_type"}
        | {"enable_confidence_head", "confidence_head_with_markov"},
        {**_BOUND, "projector_type": ("dflash", "dspark"), "shift_label": (False,)},
        _HARMLESS,
    ),
}


def layout_of(data: Mapping[str, Any]) -> Layout | None:
    """By `speculators_model_type`, where the layers' shape stands apart."""
    kind = data.get(KIND)
    is_ours = isinstance(kind, str) and isinstance(data.get(SHAPE), dict)
    return _LAYOUTS.get(str(kind)) if is_ours else None


def parse(data: dict[str, Any], source: str) -> DraftConfig:
    """Read and check a `config.json`. Raises CheckpointError."""
    layout = layout_of(data)
    assert layout is not None, "the format was chosen by its layout"
    check_keys(data, source, _KEYS[layout])
    _check_settings(data, source)
    return _eagle3(data, source) if layout == EAGLE3 else _block(data, source, layout)


def _eagle3(data: dict[str, Any], source: str) -> DraftConfig:
    nested = f"{source}: {SHAPE}"
    family = QWEN3 if data[SHAPE].get("model_type") == QWEN3.model_type else LLAMA
    model = _model(data[SHAPE], nested, family, may_have_bias=True)
    check_bound("num_hidden_layers", model.num_hidden_layers, (1,), nested)
    if data.get("norm_before_residual") is None:
        raise CheckpointError(
            f"{source} lacks the key 'norm_before_residual', which vLLM takes for true and "
            "speculators for false; valid: a file that says which"
        )
    read = ValueReader(data, source)
    has_layers = data.get(EAGLE3_LAYERS) is not None
    ids = read_layer_ids(data, EAGLE3_LAYERS, source) if has_layers else ()
    return DraftConfig(
        model=model,
        format_name=NAME,
        layout=EAGLE3,
        architecture=str(architecture_of(data)),
        max_gamma=None,
        target_layer_ids=tuple(layer - 1 for layer in ids) if has_layers else None,
        num_target_layers=None,
        mask_token_id=0,
        markov_rank=0,
        head_type="vanilla",
        has_confidence=False,
        confidence_with_markov=False,
        target_hidden_size=read.count("target_hidden_size", default=model.hidden_size),
        draft_vocab_size=read.count("draft_vocab_size", most=model.vocab_size, default=32000),
        has_own_head=True,
        norms_residual=read.flag("norm_before_residual", default=False),
        norms_features=read.flag("norm_before_fc", default=False),
    )


def _block(data: dict[str, Any], source: str, layout: Layout) -> DraftConfig:
    nested = f"{source}: {SHAPE}"
    model = _model(data[SHAPE], nested, QWEN3, may_have_bias=False)
    vocab, hidden = model.vocab_size, model.hidden_size
    read = ValueReader(data, source)
    block = read.count("block_size", least=2)
    is_shifted = _samples_from_anchor(data, source, layout, block)
    rank = read.count("markov_rank", 0, MAX_COUNT, default=0) if layout == DSPARK else 0
    head_type = read_head_type(data, source)
    if rank and head_type == "rnn" and not is_shifted:
        raise CheckpointError(
            f"{source}: markov_head_type is 'rnn' and sample_from_anchor false: whether its state "
            "begins in the anchor's slot is not known; valid: vanilla or gated"
        )
    drafted = read.count("draft_vocab_size", most=vocab, default=32000)
    return DraftConfig(
        model=model,
        format_name=NAME,
        layout=layout,
        architecture=str(architecture_of(data)),
        max_gamma=block if is_shifted else block - 1,
        target_layer_ids=tuple(layer - 1 for layer in read_layer_ids(data, LAYERS, source)),
        num_target_layers=None,
        mask_token_id=read.count("mask_token_id", 0, vocab - 1),
        markov_rank=rank,
        head_type=head_type,
        has_confidence=read.flag("enable_confidence_head", default=False),
        confidence_with_markov=read.flag("confidence_head_with_markov", default=False),
        target_hidden_size=read.count("target_hidden_size", hidden, hidden, default=hidden),
        draft_vocab_size=drafted,
        has_own_head=drafted < vocab,
        predicts_in_place=not is_shifted,
    )


def _model(data: dict[str, Any], source: str, family: Family, may_have_bias: bool) -> ModelConfig:
    """The layers' shape, with the class's defaults for keys that are absent."""
    read, bound = set(_SHAPE_READ), dict(_SHAPE_BOUND)
    bound["use_qk_norm"] = (family.has_query_key_norm,)
    if may_have_bias:
        read.add("attention_bias")
    else:
        bound["attention_bias"] = (False,)
    if family == QWEN3:
        read |= WINDOW_KEYS
    else:
        bound["use_sliding_window"] = (False,)
    known = KnownKeys(frozenset(read), bound, HARMLESS - read)
    filled = {"model_type": family.model_type, **CLASS_DEFAULTS[family.model_type], **data}
    return full_attention(parse_draft_shape(filled, source, family, known), source)


def _samples_from_anchor(data: dict[str, Any], source: str, layout: Layout, block: int) -> bool:
    """Whether slot 0 drafts. Older DSpark files lack the key; their number of tokens tells."""
    if data.get(FROM_ANCHOR) is not None:
        return ValueReader(data, source).flag(FROM_ANCHOR, default=False)
    if layout == DFLASH:
        return False
    declared = _speculative_tokens(data)
    if declared not in (block, block - 1):
        raise CheckpointError(
            f"{source} lacks the key {FROM_ANCHOR!r}, which older files mean as false and newer "
            "ones as true; valid: a file that says which"
        )
    return declared == block


def _speculative_tokens(data: Mapping[str, Any]) -> object:
    """What the first proposal method drafts; None where none says."""
    settings = data.get(_SETTINGS)
    methods = settings.get("proposal_methods") if isinstance(settings, dict) else None
    first = methods[0] if isinstance(methods, list) and methods else None
    return first.get("speculative_tokens") if isinstance(first, dict) else None


def _check_settings(data: Mapping[str, Any], source: str) -> None:
    """How to run it, which is ours to say; but the algorithm must be that of the weights."""
    settings = data.get(_SETTINGS)
    if isinstance(settings, dict) and settings.get("algorithm") is not None:
        check_bound(f"{_SETTINGS}.algorithm", settings["algorithm"], (data[KIND],), source)


FORMAT: Final = DraftFormat(
    NAME,
    {
        EAGLE3: ("Eagle3DraftModel", "Eagle3Speculator"),
        DFLASH: ("DFlashDraftModel", "DFlashSpeculator"),
        DSPARK: ("DSparkDraftModel", "DSparkSpeculator"),
    },
    layout_of,
    parse,
)
