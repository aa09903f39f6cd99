"""Tiny models of families that transformers computes, made on the spot."""

from pathlib import Path
from typing import Any, Final

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

from tests.tiny_models import EOS_TOKEN, HIDDEN, LAYERS, VOCAB, tiny_tokenizer

_COMMON: Final[dict[str, Any]] = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "eos_token_id": EOS_TOKEN,
    "bos_token_id": 1,
    "pad_token_id": None,
    "initializer_range": 0.2,
}
_MIXED: Final = ["sliding_attention", "full_attention"] * 2
FAMILIES: Final[dict[str, dict[str, Any]]] = {
    "gemma2": {
        "head_dim": 16,
        "query_pre_attn_scalar": 24,
        "sliding_window": 6,
        "layer_types": _MIXED,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
    },
    "gemma3_text": {
        "head_dim": 16,
        "query_pre_attn_scalar": 24,
        "sliding_window": 6,
        "layer_types": _MIXED,
    },
    "qwen3_moe": {
        "head_dim": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "norm_topk_prob": True,
    },
    "phi3": {"sliding_window": 7},
    "olmo2": {},
    "gpt_oss": {
        "head_dim": 16,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 6,
        "layer_types": _MIXED,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
}


def write_model(folder: Path, family: str, **more: Any) -> Path:
    """A random model of the family, saved as its users have it."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**_COMMON, **FAMILIES.get(family, {}), **more})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():  # norms and sinks too, so that what is left out shows
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                weight.copy_(torch.randn_like(weight) * 0.3 + (0.0 if "bias" in name else 0.7))
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder
