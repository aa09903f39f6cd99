"""DeepSpec's format: Eagle3, DFlash and DSpark, as its training writes and releases them.

The file is a copy of the target's text configuration with the drafter's own fields on top. What it
says otherwise than the drafters here compute is refused by name (`config_keys`); shapes of the
weights are checked when they are read.

Drafters that are trained here may draft a part of the vocabulary, `draft_vocab_size` tokens that
`d2t` and `t2d` name, with the rows of their target's head. DeepSpec's own programs have no such
thing, so nothing is converted to it.
"""

from collections.abc import Mapping
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import parse_draft_shape
from dspark_bench.models.config_keys import DRAFT_KEYS, check_bound, shown
from dspark_bench.models.config_values import MAX_COUNT, ValueReader
from dspark_bench.models.draft_config import DFLASH, DSPARK, EAGLE3, DraftConfig, Layout
from dspark_bench.models.draft_formats.format import (
    DraftFormat,
    architecture_of,
    read_head_type,
    read_layer_ids,
)
from dspark_bench.models.draft_formats.shape_keys import new_keys, refuse

NAME: Final = "DeepSpec"
REDUCED: Final = f"{NAME}, over a part of the vocabulary"
_BLOCK: Final = ("Qwen3DSparkModel",)
_EAGLE3: Final = ("Qwen3Eagle3Model", "Eagle3DraftModel")


def layout_of(data: Mapping[str, Any]) -> Layout | None:
    """By architecture; DFlash is a DSpark without a sequential head."""
    architecture = architecture_of(data)
    if architecture in _EAGLE3:
        return EAGLE3
    if architecture in _BLOCK:
        return DSPARK if data.get("markov_rank") else DFLASH
    return None


def parse(data: dict[str, Any], source: str) -> DraftConfig:
    """Read and check a `config.json`. Raises CheckpointError."""
    layout = layout_of(data)
    assert layout is not None, "the format was chosen by its layout"
    is_eagle = layout == EAGLE3
    read = ValueReader(data, source)
    depth = read.count("draft_num_hidden_layers", most=1, default=1) if is_eagle else None
    head_type = read_head_type(data, source)
    model = parse_draft_shape(
        data if depth is None else {**data, "num_hidden_layers": depth}, source
    )
    _check_nested(data, source)
    vocab, hidden = model.vocab_size, model.hidden_size
    drafted = read.count("draft_vocab_size", most=vocab, default=vocab)
    return DraftConfig(
        model=model,
        format_name=NAME if drafted == vocab else REDUCED,
        layout=layout,
        architecture=str(architecture_of(data)),
        max_gamma=read.count("ttt_length" if is_eagle else "block_size"),
        target_layer_ids=read_layer_ids(data, "target_layer_ids", source),
        num_target_layers=read.count("num_target_layers") if "num_target_layers" in data else None,
        mask_token_id=read.count("mask_token_id", 0, vocab - 1, 0 if is_eagle else None),
        markov_rank=read.count("markov_rank", 0, 0 if is_eagle else MAX_COUNT, default=0),
        head_type=head_type,
        has_confidence=read.flag("enable_confidence_head", default=False),
        confidence_with_markov=read.flag("confidence_head_with_markov", default=True),
        target_hidden_size=read.count("target_hidden_size", hidden, hidden, default=hidden),
        draft_vocab_size=drafted,
    )


def _check_nested(data: dict[str, Any], source: str) -> None:
    """`dflash_config` may repeat what stands beside it, and say nothing else."""
    nested = data.get("dflash_config")
    if nested is None:
        return
    if not isinstance(nested, dict):
        raise CheckpointError(f"{source}: dflash_config is {shown(nested)}; valid: an object")
    for key, value in nested.items():
        if value is None:
            continue
        name = f"dflash_config.{key}"
        if key in DRAFT_KEYS.bound:
            check_bound(name, value, DRAFT_KEYS.bound[key], source)
        elif data.get(key) is not None:
            check_bound(name, value, (data[key],), source)
        else:
            raise CheckpointError(
                f"{source}: the key {name!r} ({shown(value)}) is not known here and may change "
                "what the drafter computes; valid: a file without it, if it does not"
            )


def write(config: DraftConfig) -> dict[str, Any]:
    """The `config.json` of a drafter. Raises CheckpointError for what it has no place for."""
    refuse(
        NAME,
        config,
        slots_in_place=config.predicts_in_place,
        a_reduced_vocabulary=config.is_reduced,
        a_normed_residual=config.norms_residual,
        norms_before_fc=config.norms_features,
        heads_without_norms=not config.model.has_query_key_norm,
        biases=config.model.has_qkv_bias,
        another_width_than_its_target=config.model.hidden_size != config.target_hidden_size,
        layers_that_depend_on_the_target=config.target_layer_ids is None,
        a_gamma_that_is_not_stated=config.max_gamma is None,
    )
    assert config.target_layer_ids is not None
    is_eagle = config.layout == EAGLE3
    data = {
        **new_keys(config.model),
        "architectures": [_EAGLE3[0] if is_eagle else _BLOCK[0]],
        "target_layer_ids": list(config.target_layer_ids),
        "num_target_layers": config.num_target_layers,
        "enable_confidence_head": config.has_confidence,
        "confidence_head_with_markov": config.confidence_with_markov,
    }
    if is_eagle:
        return data | {"ttt_length": config.max_gamma, "draft_num_hidden_layers": 1}
    return data | {
        "block_size": config.max_gamma,
        "mask_token_id": config.mask_token_id,
        "markov_rank": config.markov_rank,
        "markov_head_type": config.head_type,
    }


FORMAT: Final = DraftFormat(
    NAME,
    "deepspec",
    {EAGLE3: _EAGLE3, DFLASH: _BLOCK, DSPARK: _BLOCK},
    layout_of,
    parse,
    write,
)
