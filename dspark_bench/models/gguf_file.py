"""A Llama model in a GGUF file: its shape, and its weights in fp32 under their usual names.

GGUF is llama.cpp's format; the library `gguf` parses it and undoes its quantisation. Its writer
puts the rows of query and key in another order, which turns the rotation of halves into one of
neighbours; here that is undone. Whatever else a file says that this decoder does not compute is
refused by name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from gguf import GGUFReader, dequantize
from torch import Tensor

from dspark_bench.core.errors import CheckpointError

ARCHITECTURE: Final = "llama"
_COUNTS: Final = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
}
_READ: Final = {
    *_COUNTS,
    *("attention.head_count_kv", "rope.freq_base", "rope.dimension_count", "vocab_size"),
    *("attention.layer_norm_rms_epsilon", "attention.key_length", "attention.value_length"),
}
_OUTER: Final = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER: Final = {
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
_DEFAULT_THETA: Final = 10000.0


@dataclass(frozen=True, slots=True)
class GgufModel:
    """What a file says, and its weights, which are read one at a time when they are asked for."""

    path: Path
    metadata: Mapping[str, Any]
    reader: GGUFReader

    def config(self) -> dict[str, Any]:
        """Keys of a `config.json` of the Llama family, without those of its tokenizer.

        Raises CheckpointError for another architecture, for a key that is absent, and for one
        that may change what the model computes and is not known here.
        """
        name = self.metadata.get("general.architecture")
        if name != ARCHITECTURE:
            raise CheckpointError(
                f"{self.path}: general.architecture is {name!r}; supported: {ARCHITECTURE!r}"
            )
        prefix = f"{ARCHITECTURE}."
        own = {k.removeprefix(prefix): v for k, v in self.metadata.items() if k.startswith(prefix)}
        unknown = sorted(set(own) - _READ)
        if unknown:
            raise CheckpointError(
                f"{self.path}: the key {prefix}{unknown[0]} ({own[unknown[0]]!r}) is not known "
                "here and may change what the model computes"
            )
        missing = [key for key in _COUNTS if key not in own]
        if missing:
            raise CheckpointError(f"{self.path}: has no {prefix}{missing[0]}")
        heads, width = own["attention.head_count"], own["embedding_length"]
        head_dim = own.get("rope.dimension_count", width // heads)
        for key in ("attention.key_length", "attention.value_length"):
            if own.get(key, head_dim) != head_dim:
                raise CheckpointError(
                    f"{self.path}: {prefix}{key} is {own[key]}; valid: {head_dim}"
                )
        theta = _short(own.get("rope.freq_base", _DEFAULT_THETA))
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            **{theirs: own[key] for key, theirs in _COUNTS.items()},
            "num_key_value_heads": own.get("attention.head_count_kv", heads),
            "head_dim": head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": _short(own["attention.layer_norm_rms_epsilon"]),
            "rope_parameters": {"rope_type": "default", "rope_theta": theta},
            "rope_theta": theta,
            "vocab_size": len(self.metadata["tokenizer.ggml.tokens"]),
            "tie_word_embeddings": all(t.name != "output.weight" for t in self.reader.tensors),
        }

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Name and fp32 values of each weight, [out, in]. Raises CheckpointError for a name that
        no Llama layer has.
        """
        heads = self.metadata[f"{ARCHITECTURE}.attention.head_count"]
        kv_heads = self.metadata.get(f"{ARCHITECTURE}.attention.head_count_kv", heads)
        for stored in self.reader.tensors:
            name = self._name(stored.name)
            values = np.array(dequantize(stored.data, stored.tensor_type), dtype=np.float32)
            if stored.name.endswith("attn_q.weight"):
                values = halves_from_pairs(values, heads)
            if stored.name.endswith("attn_k.weight"):
                values = halves_from_pairs(values, kv_heads)
            yield name, torch.from_numpy(np.ascontiguousarray(values))

    def _name(self, stored: str) -> str:
        if stored in _OUTER:
            return _OUTER[stored]
        start, _, rest = stored.partition(".")
        index, _, part = rest.partition(".")
        if start == "blk" and index.isdecimal() and part in _LAYER:
            return f"model.layers.{index}.{_LAYER[part]}"
        raise CheckpointError(f"{self.path}: the tensor {stored!r} is not one of a Llama model's")


def read_gguf(path: Path) -> GgufModel:
    """Open a file; weights stay on disk. Raises CheckpointError if it is damaged or no GGUF."""
    try:
        reader = GGUFReader(path)
        metadata = {key: field.contents() for key, field in reader.fields.items()}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"cannot read {path}: {reason}") from error
    return GgufModel(path, metadata, reader)


def halves_from_pairs(rows: np.ndarray[Any, Any], num_heads: int) -> np.ndarray[Any, Any]:
    """Rows [H*D, in] of query or key in the order of Hugging Face's files.

    A head's rows lie in GGUF as r(0), r(D/2), r(1), r(D/2 + 1), ...: the two that are rotated
    together are neighbours. Hugging Face's files have r(0), r(1), ... r(D - 1).
    """
    half = rows.shape[0] // num_heads // 2
    pairs = rows.reshape(num_heads, half, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def _short(value: float) -> float:
    """A number that was stored in fp32, as people wrote it: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value)))
