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
from dspark_bench.models.config_keys import HARMLESS, KnownKeys, check_bound, check_keys
from dspark_bench.models.config_values import MAX_COUNT, ValueReader
from dspark_bench.models.draft_config import DFLASH, DSPARK, EAGLE3, DraftConfig, Layout
from dspark_bench.models.draft_formats.format import (
    DraftFormat,
    architecture_of,
    full_attention,
    read_head_type,
    read_layer_ids,
)
from dspark_bench.models.draft_formats.shape_keys import new_keys, refuse
from dspark_bench.models.draft_formats.speculators_keys import (
    ARCHITECTURES,
    CLASS_DEFAULTS,
    EAGLE3_LAYERS,
    FROM_ANCHOR,
    KEYS,
    KIND,
    LAYERS,
    LAYOUTS,
    NAME,
    SETTINGS,
    SHAPE,
    SHAPE_BOUND,
    SHAPE_READ,
    USUAL_TOKENS,
)
from dspark_bench.models.families import LLAMA, QWEN3, WINDOW_KEYS, Family


def layout_of(data: Mapping[str, Any]) -> Layout | None:
    """By `speculators_model_type`, where the layers' shape stands apart."""
    kind = data.get(KIND)
    is_ours = isinstance(kind, str) and isinstance(data.get(SHAPE), dict)
    return LAYOUTS.get(str(kind)) if is_ours else None


def parse(data: dict[str, Any], source: str) -> DraftConfig:
    """Read and check a `config.json`. Raises CheckpointError."""
    layout = layout_of(data)
    assert layout is not None, "the format was chosen by its layout"
    check_keys(data, source, KEYS[layout])
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
    read, bound = set(SHAPE_READ), dict(SHAPE_BOUND)
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
    settings = data.get(SETTINGS)
    methods = settings.get("proposal_methods") if isinstance(settings, dict) else None
    first = methods[0] if isinstance(methods, list) and methods else None
    return first.get("speculative_tokens") if isinstance(first, dict) else None


def _check_settings(data: Mapping[str, Any], source: str) -> None:
    """How to run it, which is ours to say; but the algorithm must be that of the weights."""
    settings = data.get(SETTINGS)
    if isinstance(settings, dict) and settings.get("algorithm") is not None:
        check_bound(f"{SETTINGS}.algorithm", settings["algorithm"], (data[KIND],), source)


def write(config: DraftConfig) -> dict[str, Any]:
    """The `config.json` of a drafter. Raises CheckpointError for what it has no place for."""
    is_eagle = config.layout == EAGLE3
    has_own_width = config.model.hidden_size != config.target_hidden_size
    refuse(
        NAME,
        config,
        a_confidence_head=config.has_confidence and config.layout != DSPARK,
        biases=config.model.has_qkv_bias and not is_eagle,
        another_width_than_its_target=has_own_width and not is_eagle,
    )
    kind = next(name for name, layout in LAYOUTS.items() if layout == config.layout)
    method = {"proposal_type": "greedy", "speculative_tokens": config.max_gamma or USUAL_TOKENS}
    data = {
        "architectures": [ARCHITECTURES[config.layout][0]],
        KIND: kind,
        SHAPE: new_keys(config.model),
        "draft_vocab_size": config.draft_vocab_size,
        SETTINGS: {
            "algorithm": kind,
            "default_proposal_method": "greedy",
            "proposal_methods": [method],
            "verifier": {"name_or_path": None, "architectures": []},
        },
    }
    ids = None
    if config.target_layer_ids is not None:
        ids = [layer + 1 for layer in config.target_layer_ids]
    if is_eagle:
        return data | {
            EAGLE3_LAYERS: ids,
            "norm_before_residual": config.norms_residual,
            "norm_before_fc": config.norms_features,
            "target_hidden_size": config.target_hidden_size,
        }
    assert config.max_gamma is not None
    data |= {
        LAYERS: ids,
        FROM_ANCHOR: not config.predicts_in_place,
        "block_size": config.max_gamma + int(config.predicts_in_place),
        "mask_token_id": config.mask_token_id,
    }
    if config.layout == DFLASH:
        return data
    return data | {
        "markov_rank": config.markov_rank,
        "markov_head_type": config.head_type,
        "enable_confidence_head": config.has_confidence,
        "confidence_head_with_markov": config.confidence_with_markov,
    }


FORMAT: Final = DraftFormat(
    NAME, "speculators", ARCHITECTURES, layout_of, parse, write, needs_head=(EAGLE3,)
)
