"""EAGLE-1 and EAGLE-2, as SafeAILab and vLLM write them: one file layout, two ways to draft.

One Llama layer without a norm before its attention, and none behind it; `fc`, with a bias unless
the file says otherwise, joins the embedding and the target's state behind its final norm, in this
order. Embedding and head are the target's; a copy of the embedding is usually there.
"""

from collections.abc import Mapping
from typing import Any, Final

from dspark_bench.core.features import FINAL_NORM
from dspark_bench.models.config import parse_draft_shape
from dspark_bench.models.config_keys import DECODER_BOUND, DECODER_READ, HARMLESS, KnownKeys
from dspark_bench.models.config_values import ValueReader
from dspark_bench.models.draft_config import EAGLE, DraftConfig, Layout
from dspark_bench.models.draft_formats.format import DraftFormat, architecture_of, full_attention
from dspark_bench.models.draft_formats.shape_keys import old_keys, refuse
from dspark_bench.models.families import LLAMA, WINDOW_KEYS

NAME: Final = "EAGLE-1/2 of SafeAILab"
ARCHITECTURE: Final = "EagleLlamaForCausalLM"
_TARGETS: Final = "LlamaForCausalLM"
"""What the authors' own files name: a head is known by its one layer."""
_READ: Final = DECODER_READ | WINDOW_KEYS
_KEYS: Final = KnownKeys(
    _READ | {"architectures", "attention_bias", "bias", "eagle_fc_bias"},
    {**DECODER_BOUND, **dict.fromkeys(("qkv_bias", "use_qk_norm"), (False,))},
    (HARMLESS | {"target_model_name_or_path", "base_model_name_or_path"}) - _READ,
)


def layout_of(data: Mapping[str, Any]) -> Layout | None:
    """By architecture, or by the one layer of what is otherwise a Llama model's file."""
    architecture = architecture_of(data)
    has_one_layer = data.get("num_hidden_layers") == 1 and data.get("draft_vocab_size") is None
    is_head = architecture == _TARGETS and has_one_layer
    return EAGLE if architecture == ARCHITECTURE or is_head else None


def parse(data: dict[str, Any], source: str) -> DraftConfig:
    """Read and check a `config.json`. Raises CheckpointError."""
    shape = parse_draft_shape({**data, "num_hidden_layers": 1}, source, LLAMA, _KEYS)
    model = full_attention(shape, source)
    read = ValueReader(data, source)
    return DraftConfig(
        model=model,
        format_name=NAME,
        layout=EAGLE,
        architecture=str(architecture_of(data)),
        max_gamma=None,
        target_layer_ids=(FINAL_NORM,),
        num_target_layers=None,
        mask_token_id=0,
        markov_rank=0,
        head_type="vanilla",
        has_confidence=False,
        confidence_with_markov=False,
        target_hidden_size=model.hidden_size,
        draft_vocab_size=model.vocab_size,
        has_fuse_bias=read.flag("bias", default=read.flag("eagle_fc_bias", default=True)),
    )


def write(config: DraftConfig) -> dict[str, Any]:
    """The `config.json` of a drafter. Raises CheckpointError for what it has no place for."""
    refuse(NAME, config, norms_of_query_and_key_heads=config.model.has_query_key_norm)
    return {
        **old_keys(config.model),
        "architectures": [_TARGETS],
        "bias": config.has_fuse_bias,
        "eagle_fc_bias": config.has_fuse_bias,
    }


FORMAT: Final = DraftFormat(
    NAME, "eagle", {EAGLE: (ARCHITECTURE, _TARGETS)}, layout_of, parse, write
)
