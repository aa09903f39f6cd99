"""Tiny random drafters in the formats of others, with a Llama target for them."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from dspark_bench.models.checkpoint import write_checkpoint
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import TargetModel
from tests import tiny

DEPTH: Final = 8
HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM = 32, 48, 2, 1, 16
EPS, THETA = 1e-5, 10000.0
INPUTS: Final = (2, 4, 5)
"""Layers of the target whose inputs an EAGLE-3 head reads, here."""


def random_llama(
    vocab: int = tiny.VOCAB, depth: int = DEPTH, scale: float = 0.2
) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=depth,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=256,
        rms_norm_eps=EPS,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tiny.EOS,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, scale) if weight.dim() > 1 else weight.uniform_(0.5, 1.5)
    return model


@cache
def llama_dir(depth: int = DEPTH) -> Path:
    path = tiny.root() / f"llama-{depth}"
    random_llama(depth=depth).save_pretrained(path)
    return path


@cache
def llama(kernels: Wanted = Wanted.AUTO, depth: int = DEPTH) -> TargetModel:
    return TargetModel.load(llama_dir(depth), torch.float32, tiny.CPU, kernels)


class Rand:
    """Seeded tensors: matrices, and norms that show where they are missing."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def matrix(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator) * 0.25

    def norm(self, size: int) -> Tensor:
        return 0.5 + torch.rand(size, generator=self._generator)

    def tokens(self, size: int, vocab: int) -> Tensor:
        """Some of the vocabulary, in order."""
        return torch.randperm(vocab, generator=self._generator)[:size].sort().values

    def layer(self, prefix: str, width: int, hidden: int = HIDDEN) -> dict[str, Tensor]:
        """One Llama layer; q, k and v read `width`."""
        heads, kv_heads = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
        return {
            f"{prefix}self_attn.q_proj.weight": self.matrix(heads, width),
            f"{prefix}self_attn.k_proj.weight": self.matrix(kv_heads, width),
            f"{prefix}self_attn.v_proj.weight": self.matrix(kv_heads, width),
            f"{prefix}self_attn.o_proj.weight": self.matrix(hidden, heads),
            f"{prefix}mlp.gate_proj.weight": self.matrix(INNER, hidden),
            f"{prefix}mlp.up_proj.weight": self.matrix(INNER, hidden),
            f"{prefix}mlp.down_proj.weight": self.matrix(hidden, INNER),
            f"{prefix}input_layernorm.weight": self.norm(hidden),
            f"{prefix}post_attention_layernorm.weight": self.norm(hidden),
        }


def eagle3_tensors(
    vocab: int = tiny.VOCAB,
    drafted: int = 24,
    prefix: str = "midlayer.",
    hidden: int = HIDDEN,
) -> dict[str, Tensor]:
    """A head over `drafted` tokens of the vocabulary."""
    make = Rand(4)
    tensors = {
        "fc.weight": make.matrix(hidden, 3 * HIDDEN),
        "norm.weight": make.norm(hidden),
        "lm_head.weight": 2 * make.matrix(drafted, hidden),
        f"{prefix}hidden_norm.weight": make.norm(hidden),
        **make.layer(prefix, 2 * hidden, hidden),
    }
    if drafted < vocab:
        ids = make.tokens(drafted, vocab)
        tensors["d2t"] = ids - torch.arange(drafted)
        tensors["t2d"] = torch.zeros(vocab, dtype=torch.bool).index_fill_(0, ids, True)
    if hidden != HIDDEN:
        tensors["embed_tokens.weight"] = make.matrix(vocab, hidden)
    return tensors


def eagle_tensors(has_bias: bool = True) -> dict[str, Tensor]:
    """EAGLE-1's: no norm before the layer, none behind it."""
    make = Rand(6)
    tensors = {
        "fc.weight": make.matrix(HIDDEN, 2 * HIDDEN),
        "fc.bias": 2 * make.matrix(HIDDEN),
        **make.layer("layers.0.", HIDDEN),
    }
    del tensors["layers.0.input_layernorm.weight"]
    if not has_bias:
        del tensors["fc.bias"]
    return tensors


def eagle_config() -> dict[str, Any]:
    """As the authors release it: a Llama model's file of one layer."""
    config = eagle3_config()
    del config["draft_vocab_size"]
    return config


def eagle3_config(
    vocab: int = tiny.VOCAB, drafted: int = 24, hidden: int = HIDDEN
) -> dict[str, Any]:
    """As the authors release it: a Llama model's file, with a draft vocabulary."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": tiny.EOS,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": INNER,
        "max_position_embeddings": 32,
        "model_type": "llama",
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "num_hidden_layers": 1,
        "head_dim": HEAD_DIM,
        "pad_token_id": 0,
        "rms_norm_eps": EPS,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.28.1",
        "use_cache": True,
        "vocab_size": vocab,
        "draft_vocab_size": drafted,
        **({} if hidden == HIDDEN else {"target_hidden_size": HIDDEN}),
    }


def write(folder: Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> Path:
    """A checkpoint's folder. Whole numbers keep their type."""
    write_checkpoint(folder, tensors, torch.float32)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def block_tensors(
    taps: int = 2,
    drafted: int | None = None,
    rank: int = 0,
    head_type: str = "vanilla",
    vocab: int = tiny.VOCAB,
) -> dict[str, Tensor]:
    """Two Qwen3-shaped layers; with `drafted`, a head over that many tokens."""
    make, size = Rand(6), drafted or vocab
    tensors = {
        "fc.weight": make.matrix(HIDDEN, taps * HIDDEN),
        "hidden_norm.weight": make.norm(HIDDEN),
        "norm.weight": make.norm(HIDDEN),
    }
    for layer in range(2):
        tensors |= make.layer(f"layers.{layer}.", HIDDEN)
        for letter in "qk":
            tensors[f"layers.{layer}.self_attn.{letter}_norm.weight"] = make.norm(HEAD_DIM)
    if drafted:
        ids = make.tokens(drafted, vocab)
        tensors["lm_head.weight"] = make.matrix(drafted, HIDDEN)
        tensors["d2t"] = ids - torch.arange(drafted)
        tensors["t2d"] = torch.zeros(vocab, dtype=torch.bool).index_fill_(0, ids, True)
    if rank:
        tensors["markov_head.markov_w1.weight"] = 2 * make.matrix(vocab, rank)
        tensors["markov_head.markov_w2.weight"] = 2 * make.matrix(size, rank)
        tensors["confidence_head.proj.weight"] = make.matrix(1, HIDDEN + rank)
        tensors["confidence_head.proj.bias"] = make.matrix(1)
    if rank and head_type == "gated":
        tensors["markov_head.gate_proj.weight"] = make.matrix(rank, HIDDEN + rank)
        tensors["markov_head.gate_proj.bias"] = make.matrix(rank)
    return tensors


def layer_config(family: str, layers: int, vocab: int = tiny.VOCAB) -> dict[str, Any]:
    """Shape of a drafter's layers, as transformers writes it."""
    return {
        "model_type": family,
        "vocab_size": vocab,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "rms_norm_eps": EPS,
        "rope_parameters": {"rope_theta": THETA, "rope_type": "default"},
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
    }


def speculators_config(kind: str, family: str, layers: int, **own: Any) -> dict[str, Any]:
    """As speculators saves it; `own` adds to it, and None takes away."""
    config = {
        "architectures": [
            {"eagle3": "Eagle3", "dflash": "DFlash", "dspark": "DSpark"}[kind] + "DraftModel"
        ],
        "auto_map": {"": "config.SpeculatorConfig"},
        "draft_vocab_size": tiny.VOCAB,
        "dtype": "bfloat16",
        "speculators_config": {
            "algorithm": kind,
            "default_proposal_method": "greedy",
            "proposal_methods": [
                {"proposal_type": "greedy", "speculative_tokens": 5, "verifier_accept_k": 1}
            ],
            "verifier": {"architectures": ["LlamaForCausalLM"], "name_or_path": "a/llama"},
        },
        "speculators_model_type": kind,
        "speculators_version": "0.5.0",
        "target_hidden_size": None,
        "tie_word_embeddings": False,
        "transformer_layer_config": layer_config(family, layers),
        "transformers_version": "5.0.0",
        **own,
    }
    return {key: value for key, value in config.items() if value is not None}
