"""Rotary position embedding: the frequencies that a model's positions are turned with.

Scaled kinds stretch a context that a model was trained for. The definitions are those of linear
position interpolation (arXiv 2306.15595), of Llama 3.1, and of YaRN (arXiv 2309.00071), in the form
in which transformers computes them.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

CHUNK_POSITIONS = 4096
"""Of a table that are computed in double precision at a time."""


class RopeKind(StrEnum):
    """As `rope_type` names them."""

    DEFAULT = "default"
    LINEAR = "linear"
    LLAMA3 = "llama3"
    YARN = "yarn"


@dataclass(frozen=True, slots=True)
class Rope:
    """theta: the base; factor: how much longer than `original_positions` the context has become.

    attention_factor: on rotated queries and on rotated keys, so its square is on the scores.
    low_freq_factor, high_freq_factor: llama3's; beta_fast, beta_slow, is_truncated: yarn's.
    """

    theta: float
    kind: RopeKind = RopeKind.DEFAULT
    factor: float = 1.0
    original_positions: int = 0
    attention_factor: float = 1.0
    low_freq_factor: float = 0.0
    high_freq_factor: float = 0.0
    beta_fast: float = 0.0
    beta_slow: float = 0.0
    is_truncated: bool = True


def frequencies(rope: Rope, head_dim: int) -> Tensor:
    """Radians per position of each pair, float64 [head_dim / 2]."""
    plain = rope.theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    if rope.kind is RopeKind.DEFAULT:
        return plain
    stretched = plain / rope.factor
    if rope.kind is RopeKind.LINEAR:
        return stretched
    kept = (
        _kept_by_llama3(rope, plain) if rope.kind is RopeKind.LLAMA3 else _kept_by_yarn(rope, plain)
    )
    return kept * plain + (1 - kept) * stretched


def rotations(rope: Rope, head_dim: int, num_positions: int) -> Tensor:
    """complex64 [num_positions, head_dim / 2]: what pairs are multiplied with at each position."""
    turn = frequencies(rope, head_dim)
    table = torch.empty(num_positions, head_dim // 2, dtype=torch.complex64)
    for first in range(0, num_positions, CHUNK_POSITIONS):
        places = torch.arange(first, min(first + CHUNK_POSITIONS, num_positions))
        angle = torch.outer(places.double(), turn)
        table[places] = torch.polar(torch.full_like(angle, rope.attention_factor), angle).to(table)
    return table


def yarn_attention_factor(factor: float) -> float:
    """What YaRN puts on queries and keys for a context `factor` times as long (its equation 22)."""
    return 1.0 if factor <= 1 else 0.1 * math.log(factor) + 1.0


def _kept_by_llama3(rope: Rope, plain: Tensor) -> Tensor:
    """Share [hd/2] of each plain frequency: 1 for waves that the original context holds often, 0
    for those that it does not hold, linear in their number between.
    """
    num_waves = rope.original_positions * plain / (2 * math.pi)
    low, high = rope.low_freq_factor, rope.high_freq_factor
    return ((num_waves - low) / (high - low)).clamp(0, 1)


def _kept_by_yarn(rope: Rope, plain: Tensor) -> Tensor:
    """Share [hd/2] of each plain frequency: linear in its index, from 1 where the original context
    holds `beta_fast` waves to 0 where it holds `beta_slow`.
    """
    half = plain.shape[0]
    first, last = (_index_of(waves, rope, half) for waves in (rope.beta_fast, rope.beta_slow))
    if rope.is_truncated:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * half - 1)
    if first == last:
        last += 0.001
    return 1 - ((torch.arange(half, dtype=torch.float64) - first) / (last - first)).clamp(0, 1)


def _index_of(num_waves: float, rope: Rope, half: int) -> float:
    """Index of the pair, not whole, that turns so often within the original context."""
    length = rope.original_positions / (2 * math.pi * num_waves)
    return half * math.log(length) / math.log(rope.theta)
