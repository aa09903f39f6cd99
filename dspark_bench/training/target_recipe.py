"""The target's recipe: its shape, optimiser and schedule, and the model built from it.

The target is a standard `Qwen3ForCausalLM`, so that transformers and serving engines load it.
Called by `target_trainer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from dspark_bench.training.optimizers import MuonAdamW, OptimizerRecipe
from dspark_bench.training.tokenizer import EOS_TOKEN_ID, MAX_POSITIONS, VOCAB_SIZE


@dataclass(frozen=True)
class TargetShape:
    """The architecture's numbers, as `Qwen3Config` names them."""

    vocab_size: int = VOCAB_SIZE
    hidden_size: int = 256
    intermediate_size: int = 448
    num_hidden_layers: int = 14
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    rope_theta: float = 10_000.0


@dataclass(frozen=True)
class TargetRecipe:
    """Everything that determines a training run, but for its length."""

    shape: TargetShape = TargetShape()
    seed: int = 0
    batch_size: int = 32
    sequence_tokens: int = 256
    peak_lr: float = 2e-3
    final_lr_share: float = 0.05
    warmup_share: float = 0.04
    weight_decay: float = 0.1
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.95
    max_grad_norm: float = 1.0
    initializer_range: float = 0.04

    @property
    def tokens_per_step(self) -> int:
        """Tokens predicted in one step."""
        return self.batch_size * self.sequence_tokens


def learning_rate(recipe: TargetRecipe, step: int, num_steps: int) -> float:
    """Linear warm-up, then a cosine down to `final_lr_share` of the peak at the last step."""
    num_warmup = max(1, round(recipe.warmup_share * num_steps))
    if step < num_warmup:
        return recipe.peak_lr * (step + 1) / num_warmup
    progress = min(1.0, (step + 1 - num_warmup) / max(1, num_steps - num_warmup))
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return recipe.peak_lr * (recipe.final_lr_share + (1.0 - recipe.final_lr_share) * cosine)


def build_target(recipe: TargetRecipe) -> Qwen3ForCausalLM:
    """A freshly initialised target in fp32; equal seeds give equal weights.

    Sets torch's global generator. Projections back into the residual stream start smaller, by
    the square root of their number.
    """
    torch.manual_seed(recipe.seed)
    shape = recipe.shape
    config = Qwen3Config(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        num_key_value_heads=shape.num_key_value_heads,
        head_dim=shape.head_dim,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        initializer_range=recipe.initializer_range,
        eos_token_id=EOS_TOKEN_ID,
        bos_token_id=None,
        pad_token_id=EOS_TOKEN_ID,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.div_(math.sqrt(2 * shape.num_hidden_layers))
    return model


def build_optimizer(model: torch.nn.Module, recipe: TargetRecipe) -> MuonAdamW:
    """The recipe's optimiser over all parameters."""
    settings = OptimizerRecipe(recipe.weight_decay, recipe.momentum, recipe.beta1, recipe.beta2)
    return MuonAdamW(model.named_parameters(), settings)
