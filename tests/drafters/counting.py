"""A target that counts, and heads that count with it: what they say shows where they stand.

Its states are one-hot: behind token t comes t + 1, whatever stood before. So a head that is to
draft token t + 2 + i has only to count on from the token whose state or embedding it reads; read
one place off, it drafts the wrong number every time.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.models.target import TargetModel
from tests import tiny

SIZE = 64
PEAK = 40.0
PROMPTS = ((5, 6, 7), (30, 11), (2,))
NEW_TOKENS = 24


def counter(steps: int) -> Tensor:
    """[V, D]: a head over the vocabulary that reads a one-hot token and names that `steps` on."""
    return PEAK * torch.eye(SIZE).roll(steps, 0)


@cache
def target_dir() -> Path:
    """A model whose layers add nothing, with one-hot embeddings."""
    config = Qwen3Config(
        vocab_size=SIZE,
        hidden_size=SIZE,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=False,
        max_position_embeddings=256,
        eos_token_id=None,
    )
    model = Qwen3ForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "o_proj" in name or "down_proj" in name:
                weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(SIZE))
        model.model.norm.weight.fill_(SIZE**-0.5)  # the norm of a one-hot row is its root of D
        model.lm_head.weight.copy_(counter(1))
    path = tiny.root() / "counting"
    model.save_pretrained(path)
    return path


@cache
def target() -> TargetModel:
    return TargetModel.load(target_dir(), torch.float32, tiny.CPU)


def serve(drafter: Drafter | None, gamma: int, concurrency: int = 2) -> RunResult:
    requests = [Request(i, f"p{i}", "test", text, NEW_TOKENS) for i, text in enumerate(PROMPTS)]
    return tiny.serve(requests, drafter, gamma, concurrency, 0.0, model=target())


def shares_accepted(result: RunResult) -> list[float]:
    """Of every decode cycle that the end of the request did not cut."""
    return [
        cycle.num_accepted / cycle.verify_len
        for cycle in result.cycles
        if not cycle.is_prefill and cycle.num_cut == 0 and cycle.verify_len > 0
    ]
