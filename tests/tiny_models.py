"""A tiny random target and drafters in the public layouts, for tests that need real files.

Random weights give nearly flat distributions, so drafts are often accepted and every path runs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from dspark_bench.models.checkpoint import write_checkpoint

VOCAB, HIDDEN, INTERMEDIATE = 320, 32, 48
LAYERS, HEADS, KV_HEADS, HEAD_DIM = 4, 2, 1, 16
MAX_POSITIONS, MAX_GAMMA, RANK, MASK_TOKEN, EOS_TOKEN = 256, 16, 8, 1, 0
FEATURE_LAYERS = (0, 2)
_TEXT = ("Question: a tiny model reads words, counts tokens and answers in a line of text.\n",) * 40


@dataclass(frozen=True, slots=True)
class TinyZoo:
    """Checkpoint folders."""

    target: Path
    semi_ar: Path
    parallel: Path
    ar: Path


def write_tiny_zoo(folder: Path) -> TinyZoo:
    """Write a target and one drafter of each kind below `folder`."""
    zoo = TinyZoo(folder / "target", folder / "semi_ar", folder / "parallel", folder / "ar")
    write_target(zoo.target)
    write_block_drafter(zoo.semi_ar, markov_rank=RANK)
    write_block_drafter(zoo.parallel, markov_rank=0)
    write_eagle_drafter(zoo.ar)
    return zoo


def write_target(folder: Path, seed: int = 0, vocab_size: int = VOCAB) -> None:
    """A Qwen3 directory: config.json, model.safetensors, tokenizer.json."""
    make = Weights(seed)
    tensors = {"model.embed_tokens.weight": make.normal(vocab_size, HIDDEN, scale=0.5)}
    for index in range(LAYERS):
        tensors |= make.layer(f"model.layers.{index}.", HIDDEN)
    tensors["model.norm.weight"] = make.ones(HIDDEN)
    write_checkpoint(folder, tensors, torch.float32)
    config = _config(vocab_size) | {
        "architectures": ["Qwen3ForCausalLM"],
        "num_hidden_layers": LAYERS,
        "tie_word_embeddings": True,
    }
    _write_json(folder / "config.json", config)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))


def write_block_drafter(
    folder: Path, markov_rank: int, head_type: str = "vanilla", vocab_size: int = VOCAB
) -> None:
    """A DSpark (rank above 0) or DFlash (rank 0) checkpoint as DeepSpec writes it."""
    make = Weights(1)
    layers = 2
    tensors = {
        "fc.weight": make.normal(HIDDEN, len(FEATURE_LAYERS) * HIDDEN),
        "hidden_norm.weight": make.ones(HIDDEN),
        "norm.weight": make.ones(HIDDEN),
    }
    for index in range(layers):
        tensors |= make.layer(f"layers.{index}.", HIDDEN)
    if markov_rank:
        tensors |= _markov_head(make, vocab_size, markov_rank, head_type)
    write_checkpoint(folder, tensors, torch.float32)
    config = _config(vocab_size) | {
        "architectures": ["Qwen3DSparkModel"],
        "num_hidden_layers": layers,
        "num_target_layers": LAYERS,
        "block_size": MAX_GAMMA,
        "mask_token_id": MASK_TOKEN,
        "target_layer_ids": list(FEATURE_LAYERS),
        "markov_rank": markov_rank,
        "markov_head_type": head_type,
        "enable_confidence_head": markov_rank > 0,
        "confidence_head_with_markov": True,
        "tie_word_embeddings": False,
    }
    _write_json(folder / "config.json", config)


def write_eagle_drafter(folder: Path) -> None:
    """An Eagle3 checkpoint as DeepSpec writes it, without copies of embedding and head."""
    make = Weights(2)
    tensors = {
        "fc.weight": make.normal(HIDDEN, len(FEATURE_LAYERS) * HIDDEN),
        "layers.0.hidden_norm.weight": make.ones(HIDDEN),
        "norm.weight": make.ones(HIDDEN),
        **make.layer("layers.0.", 2 * HIDDEN),
    }
    write_checkpoint(folder, tensors, torch.float32)
    config = _config(VOCAB) | {
        "architectures": ["Qwen3Eagle3Model"],
        "num_hidden_layers": 1,
        "draft_num_hidden_layers": 1,
        "ttt_length": MAX_GAMMA,
        "target_layer_ids": list(FEATURE_LAYERS),
        "tie_word_embeddings": False,
    }
    _write_json(folder / "config.json", config)


def tiny_tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer that can read any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - 2,
        special_tokens=["<|end|>", "<|mask|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    return tokenizer


class Weights:
    """Seeded random tensors of one checkpoint."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, scale: float = 0.15) -> Tensor:
        """Gaussian fp32 tensor."""
        return torch.randn(shape, generator=self._generator) * scale

    def ones(self, *shape: int) -> Tensor:
        """Norm weights, slightly off one so that a missing norm shows."""
        return 1 + 0.05 * torch.randn(shape, generator=self._generator)

    def layer(self, prefix: str, input_size: int) -> dict[str, Tensor]:
        """One decoder layer; q, k and v read `input_size`."""
        attention = f"{prefix}self_attn."
        return {
            f"{prefix}input_layernorm.weight": self.ones(HIDDEN),
            f"{prefix}post_attention_layernorm.weight": self.ones(HIDDEN),
            f"{attention}q_proj.weight": self.normal(HEADS * HEAD_DIM, input_size),
            f"{attention}k_proj.weight": self.normal(KV_HEADS * HEAD_DIM, input_size),
            f"{attention}v_proj.weight": self.normal(KV_HEADS * HEAD_DIM, input_size),
            f"{attention}o_proj.weight": self.normal(HIDDEN, HEADS * HEAD_DIM),
            f"{attention}q_norm.weight": self.ones(HEAD_DIM),
            f"{attention}k_norm.weight": self.ones(HEAD_DIM),
            f"{prefix}mlp.gate_proj.weight": self.normal(INTERMEDIATE, HIDDEN),
            f"{prefix}mlp.up_proj.weight": self.normal(INTERMEDIATE, HIDDEN),
            f"{prefix}mlp.down_proj.weight": self.normal(HIDDEN, INTERMEDIATE),
        }


def _markov_head(make: Weights, vocab_size: int, rank: int, head_type: str) -> dict[str, Tensor]:
    head = {
        "markov_head.markov_w1.weight": make.normal(vocab_size, rank),
        "markov_head.markov_w2.weight": make.normal(vocab_size, rank),
        "confidence_head.proj.weight": make.normal(1, HIDDEN + rank),
        "confidence_head.proj.bias": make.normal(1),
    }
    if head_type == "gated":
        head["markov_head.gate_proj.weight"] = make.normal(rank, HIDDEN + rank)
        head["markov_head.gate_proj.bias"] = make.normal(rank)
    if head_type == "rnn":
        head["markov_head.joint_proj.weight"] = make.normal(3 * rank, 2 * rank + HIDDEN)
        head["markov_head.joint_proj.bias"] = make.normal(3 * rank)
    return head


def _config(vocab_size: int) -> dict[str, object]:
    return {
        "model_type": "qwen3",
        "vocab_size": vocab_size,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "max_position_embeddings": MAX_POSITIONS,
        "eos_token_id": EOS_TOKEN,
        "dtype": "float32",
    }


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def write_prompts(path: Path, texts: Sequence[str]) -> None:
    """A jsonl prompt file."""
    lines = [json.dumps({"prompt": text}) for text in texts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
