"""A tiny Llama as a GGUF file, written the way llama.cpp's converter writes one."""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, quantize
from tokenizers import pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

HEADS, KV_HEADS, HEAD_DIM, LAYERS, EPS, THETA = 4, 2, 16, 2, 1e-5, 100000.0
SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES: Final = ("h i", "Ġ hi", "1 2")
TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_CONTROL, _NORMAL = 3, 1
_PARTS: Final = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTER: Final = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}


def tokens() -> list[str]:
    """Special tokens, every byte, and one token a merge."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*SPECIAL, *alphabet, *(merge.replace(" ", "") for merge in MERGES)]


def llama(is_tied: bool = True) -> LlamaForCausalLM:
    """transformers' model, its weights large enough for every part to show."""
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokens()),
        hidden_size=HEADS * HEAD_DIM,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=256,
        rms_norm_eps=EPS,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        tie_word_embeddings=is_tied,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.2) if weight.dim() > 1 else weight.uniform_(0.5, 1.5)
    return model


def write_gguf(
    path: Path,
    model: LlamaForCausalLM,
    kind: GGMLQuantizationType = GGMLQuantizationType.F32,
    split: str = "smollm",
    more: dict[str, str] | None = None,
    extra_tensor: str | None = None,
) -> Path:
    """Write `model`. kind: of the matrices; more: further keys of text; returns `path`."""
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(HEADS * HEAD_DIM)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(THETA)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_vocab_size(len(tokens()))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens())
    writer.add_token_types([_CONTROL] * len(SPECIAL) + [_NORMAL] * (len(tokens()) - len(SPECIAL)))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for key, value in (more or {}).items():
        writer.add_string(key, value)
    for name, weight in model.named_parameters():
        _add(writer, name, weight.detach().numpy(), kind)
    if extra_tensor is not None:
        writer.add_tensor(extra_tensor, np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: GGUFWriter, name: str, values: np.ndarray, kind: GGMLQuantizationType) -> None:
    inner = name.removeprefix("model.").removesuffix(".weight")
    if inner in _OUTER:
        stored = _OUTER[inner]
    else:
        _, index, part = inner.split(".", 2)
        stored = f"blk.{index}.{_PARTS[part]}"
    if stored.endswith("attn_q"):
        values = pairs_from_halves(values, HEADS)
    if stored.endswith("attn_k"):
        values = pairs_from_halves(values, KV_HEADS)
    if values.ndim == 1 or kind is GGMLQuantizationType.F32:
        writer.add_tensor(f"{stored}.weight", np.ascontiguousarray(values))
    else:
        writer.add_tensor(f"{stored}.weight", quantize(values, kind), raw_dtype=kind)


def pairs_from_halves(rows: np.ndarray, num_heads: int) -> np.ndarray:
    """What llama.cpp's converter does with rows of query and key."""
    dim = rows.shape[0] // num_heads
    order = [head * dim + place for head in range(num_heads) for place in _interleaved(dim)]
    return rows[order]


def _interleaved(dim: int) -> list[int]:
    return [place for i in range(dim // 2) for place in (i, i + dim // 2)]
