"""z-lab's DFlash, and JetSpec: the layers and `fc` alone, embedding and head are the target's.

The slots behind the anchor predict in place, so a block drafts one token less than it has slots.
What belongs to the method stands in `dflash_config`, in older files `block_size` beside it. Layer
ids count outputs, as DeepSpec's do. `causal_head` makes it JetSpec: a slot sees the anchor and the
slots before its own, which a file that is read without the key would not show.
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
from dspark_bench.models.draft_config import DFLASH, JETSPEC, DraftConfig, Layout
from dspark_bench.models.draft_formats.format import (
    DraftFormat,
    architecture_of,
    full_attention,
    read_layer_ids,
)
from dspark_bench.models.draft_formats.shape_keys import new_keys, refuse
from dspark_bench.models.families import QWEN3, WINDOW_KEYS

NAME: Final = "DFlash of z-lab"
JETSPEC_NAME: Final = "JetSpec, in DFlash's layout"
ARCHITECTURE: Final = "DFlashDraftModel"
NESTED: Final = "dflash_config"
CAUSAL: Final = "causal_head"
_READ: Final = DECODER_READ | WINDOW_KEYS
_KEYS: Final = KnownKeys(
    _READ | {"architectures", "block_size", "num_target_layers", NESTED},
    {
        **DECODER_BOUND,
        **dict.fromkeys(("attention_bias", "qkv_bias"), (False,)),
        "use_qk_norm": (True,),
    },
    HARMLESS - _READ,
)
_NESTED_KEYS: Final = KnownKeys(
    frozenset(
        {
            *("mask_token_id", "target_layer_ids", "block_size", "num_target_layers"),
            *("causal_head", "target_hidden_size"),
        }
    ),
    {"causal": (False,), "projector_type": ("dflash",)},
    frozenset(),
)


def layout_of(data: Mapping[str, Any]) -> Layout | None:
    """By architecture, and by the key of JetSpec's causal heads."""
    if architecture_of(data) != ARCHITECTURE:
        return None
    nested = data.get(NESTED)
    is_causal = isinstance(nested, dict) and nested.get(CAUSAL) is True
    return JETSPEC if is_causal else DFLASH


def parse(data: dict[str, Any], source: str) -> DraftConfig:
    """Read and check a `config.json`. Raises CheckpointError."""
    nested = data.get(NESTED)
    if not isinstance(nested, dict):
        raise CheckpointError(f"{source}: {NESTED} is {shown(nested)}; valid: an object")
    inside = f"{source}: {NESTED}"
    check_keys(nested, inside, _NESTED_KEYS)
    model = full_attention(parse_draft_shape(data, source, QWEN3, _KEYS), source)
    vocab, hidden = model.vocab_size, model.hidden_size
    read = ValueReader(_both(data, nested, source), source)
    own = ValueReader(nested, inside)
    is_causal = own.flag(CAUSAL, default=False)
    has_depth = read.data.get("num_target_layers") is not None
    return DraftConfig(
        model=model,
        format_name=JETSPEC_NAME if is_causal else NAME,
        layout=JETSPEC if is_causal else DFLASH,
        architecture=ARCHITECTURE,
        max_gamma=read.count("block_size", least=2) - 1,
        target_layer_ids=read_layer_ids(nested, "target_layer_ids", inside),
        num_target_layers=read.count("num_target_layers") if has_depth else None,
        mask_token_id=own.count("mask_token_id", 0, vocab - 1),
        markov_rank=0,
        head_type="vanilla",
        has_confidence=False,
        confidence_with_markov=False,
        target_hidden_size=own.count("target_hidden_size", default=hidden),
        draft_vocab_size=vocab,
        predicts_in_place=True,
        is_causal=is_causal,
    )


def _both(data: Mapping[str, Any], nested: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Keys that stand in either place. Raises CheckpointError where the two differ."""
    found: dict[str, Any] = {}
    for key in ("block_size", "num_target_layers"):
        values = [place[key] for place in (data, nested) if place.get(key) is not None]
        if len(values) == 2 and values[0] != values[1]:
            raise CheckpointError(
                f"{source}: {key} is {shown(values[0])}, {NESTED}.{key} {shown(values[1])}; they "
                "must be equal"
            )
        if values:
            found[key] = values[0]
    return found


def write(config: DraftConfig) -> dict[str, Any]:
    """The `config.json` of a drafter. Raises CheckpointError for what it has no place for."""
    refuse(
        NAME,
        config,
        slots_that_predict_the_token_behind_them=not config.predicts_in_place,
        a_reduced_vocabulary=config.is_reduced,
        a_confidence_head=config.has_confidence,
    )
    assert config.target_layer_ids is not None and config.max_gamma is not None
    has_own_width = config.target_hidden_size != config.model.hidden_size
    method = {
        "mask_token_id": config.mask_token_id,
        "target_layer_ids": list(config.target_layer_ids),
        **({CAUSAL: True} if config.is_causal else {}),
        **({"target_hidden_size": config.target_hidden_size} if has_own_width else {}),
    }
    return {
        **new_keys(config.model),
        "architectures": [ARCHITECTURE],
        "block_size": config.max_gamma + 1,
        "num_target_layers": config.num_target_layers,
        NESTED: method,
    }


FORMAT: Final = DraftFormat(
    NAME,
    "zlab",
    {DFLASH: (ARCHITECTURE,), JETSPEC: (ARCHITECTURE,)},
    layout_of,
    parse,
    write,
    holds_copies=False,
)
