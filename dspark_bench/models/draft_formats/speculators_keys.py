"""Which keys a `config.json` of speculators has, by kind of drafter, and what they default to."""

from typing import Any, Final

from dspark_bench.models.config_keys import DECODER_BOUND, DECODER_READ, HARMLESS, KnownKeys
from dspark_bench.models.draft_config import DFLASH, DSPARK, EAGLE3
from dspark_bench.models.families import LLAMA, QWEN3

NAME: Final = "speculators"
KIND: Final = "speculators_model_type"
SHAPE: Final = "transformer_layer_config"
EAGLE3_LAYERS: Final = "eagle_aux_hidden_state_layer_ids"
LAYERS: Final = "aux_hidden_state_layer_ids"
FROM_ANCHOR: Final = "sample_from_anchor"
LAYOUTS: Final = {"eagle3": EAGLE3, "dflash": DFLASH, "dspark": DSPARK}
SETTINGS: Final = "speculators_config"
USUAL_TOKENS: Final = 3
"""Drafted a cycle by default, where nobody knows how many were trained for."""
ARCHITECTURES: Final = {
    EAGLE3: ("Eagle3DraftModel", "Eagle3Speculator"),
    DFLASH: ("DFlashDraftModel", "DFlashSpeculator"),
    DSPARK: ("DSparkDraftModel", "DSparkSpeculator"),
}
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
SHAPE_READ: Final = DECODER_READ | {"architectures"}
SHAPE_BOUND: Final[dict[str, tuple[Any, ...]]] = {**DECODER_BOUND, "qkv_bias": (False,)}
_HARMLESS: Final = HARMLESS | {
    *("speculators_version", "base_model_ep_plan", "has_no_defaults_at_init", "num_anchors"),
    *("max_anchors", "embed_requires_grad", "enable_sp_ulysses", "ce_loss_alpha", "l1_loss_alpha"),
    *("confidence_head_alpha", "loss_decay_gamma", "lambda_base_start", "lambda_base_decay_ratio"),
    *("pure_draft_prefix_len", "emb_dim", "gru_hidden_dim", "auf", "sliding_window_non_causal"),
}
"""What only trains, and what belongs to variants that other keys would name."""
_READ: Final = frozenset(
    {
        *(KIND, SHAPE, SETTINGS, "architectures", "model_type"),
        *("draft_vocab_size", "target_hidden_size"),
    }
)
_BLOCK_READ: Final = _READ | {LAYERS, "block_size", "mask_token_id", FROM_ANCHOR}
_BOUND: Final[dict[str, tuple[Any, ...]]] = {
    **DECODER_BOUND,
    "tie_word_embeddings": (False,),
    "use_aux_hidden_state": (True,),
}
KEYS: Final = {
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
