"""Which keys of a `config.json` are understood here, and with which values.

A key that changes what a model computes and is passed over gives wrong figures without a word. So
every key is one of three: read by the parser, bound to the values that this decoder computes, or
known to change nothing at inference; any other is refused by name. null counts as absent, and a key
that begins with an underscore is the writing library's own. `families` makes a target's of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError

_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """read: what the parser takes; bound: values that are computed here; harmless: the rest."""

    read: frozenset[str]
    bound: Mapping[str, tuple[Any, ...]]
    harmless: frozenset[str]


DECODER_READ: Final = frozenset(
    {
        *("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
        *("num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps", "layer_types"),
        *("rope_theta", "rope_parameters", "rope_scaling", "max_position_embeddings"),
        *("tie_word_embeddings", "eos_token_id", "quantization_config", "compression_config"),
    }
)
DECODER_BOUND: Final[dict[str, tuple[Any, ...]]] = {
    **dict.fromkeys(("mlp_bias", "attn_output_gate", "use_mrope"), (False,)),
    **dict.fromkeys(("use_parallel_residual", "rope_interleaved"), (False,)),
    **dict.fromkeys(("is_encoder_decoder", "add_cross_attention", "use_bidirectional"), (False,)),
    **dict.fromkeys(("hidden_act", "hidden_activation"), ("silu",)),
    **dict.fromkeys(("partial_rotary_factor", "rotary_pct", "logit_scale"), (1.0,)),
    **dict.fromkeys(("logits_scaling", "embedding_multiplier", "residual_multiplier"), (1.0,)),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), (0,)),
    **dict.fromkeys(("num_nextn_predict_layers", "mtp_num_hidden_layers"), (0,)),
    "mlp_only_layers": ([],),
    "pruned_heads": ({},),
}
HARMLESS: Final = frozenset(
    {
        # what the weights are called and stored as
        *("auto_map", "dtype", "torch_dtype", "transformers_version"),
        *("name_or_path", "model_name", "tokenizer_class", "unsloth_version", "unsloth_fixed"),
        *("transformers.js_config", "model_max_length", "vocab_file", "is_llama_config"),
        # training alone
        *("initializer_range", "attention_dropout", "hidden_dropout", "embd_pdrop", "resid_pdrop"),
        *("classifier_dropout", "gradient_checkpointing", "router_aux_loss_coef", "use_bfloat16"),
        # without effect where no layer has a sliding window
        *("sliding_window", "max_window_layers", "sliding_window_non_causal"),
        # how a library runs the same sums, and what it returns beside them
        *("use_cache", "return_dict", "output_attentions", "output_hidden_states", "torchscript"),
        *("output_scores", "return_dict_in_generate", "pretraining_tp", "attn_implementation"),
        *("chunk_size_feed_forward", "tf_legacy_loss", "output_router_logits", "is_decoder"),
        *("cross_attention_hidden_size", "tie_encoder_decoder"),
        # other tokens, labels and tasks
        *("bos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "unk_token_id"),
        *("decoder_start_token_id", "id2label", "label2id", "num_labels", "problem_type"),
        *("finetuning_task", "task_specific_params", "prefix"),
        # how to generate, which temperature, top_p and the other root keys decide here
        *("max_length", "min_length", "do_sample", "early_stopping", "num_beams"),
        *("num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p"),
        *("repetition_penalty", "length_penalty", "no_repeat_ngram_size", "num_return_sequences"),
        *("encoder_no_repeat_ngram_size", "bad_words_ids", "forced_bos_token_id"),
        *("forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty"),
        *("suppress_tokens", "begin_suppress_tokens"),
    }
)

DRAFT_KEYS: Final = KnownKeys(
    DECODER_READ
    | {
        *("block_size", "ttt_length", "draft_num_hidden_layers", "num_target_layers"),
        *("target_layer_ids", "mask_token_id", "markov_rank", "markov_head_type"),
        *("enable_confidence_head", "confidence_head_with_markov", "dflash_config"),
        *("draft_vocab_size", "target_hidden_size", "architectures"),
    },
    {
        **DECODER_BOUND,
        **dict.fromkeys(("attention_bias", "qkv_bias", "use_sliding_window"), (False,)),
        "use_qk_norm": (True,),
        # slot k predicts the k-th token after the anchor; every slot of a block sees all others
        "sample_from_anchor": (True,),
        **dict.fromkeys(("causal_head", "dflash_query_causal", "is_causal"), (False,)),
        # an Eagle3 layer's residual is its un-normed input, and nothing is normed before `fc`
        **dict.fromkeys(("norm_before_residual", "norm_before_fc", "fc_norm"), (False,)),
        **dict.fromkeys(("norm_output", "parallel_drafting"), (False,)),
        **dict.fromkeys(("enable_qwen35_gated_q_proj", "log_snr_conditioning"), (False,)),
        "projector_type": ("dspark", "dflash"),
    },
    HARMLESS
    | {
        *("num_anchors", "loss_decay_gamma", "step_loss_decay", "confidence_head_alpha"),
        *("target_model_name_or_path", "target_model_type", "target_text_model_type"),
        "base_model_name_or_path",
    },
)


def check_keys(data: Mapping[str, Any], source: str, known: KnownKeys) -> None:
    """Raise CheckpointError for a key that is not understood, or a value that is not computed."""
    for key, value in data.items():
        if value is None or key.startswith("_"):
            continue
        if key in known.bound:
            check_bound(key, value, known.bound[key], source)
        elif key not in known.read and key not in known.harmless:
            raise CheckpointError(
                f"{source}: the key {key!r} ({shown(value)}) is not known here and may change what "
                "the model computes; valid: a file without it, if it does not"
            )


def check_bound(key: str, value: Any, valid: tuple[Any, ...], source: str) -> None:
    """Raise CheckpointError if a value is none of those that are computed here."""
    is_known = any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in valid
    )
    if not is_known:
        listed = " or ".join(map(repr, valid))
        raise CheckpointError(f"{source}: {key} is {shown(value)}; valid: {listed}")


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
