"""Trainable pieces shared by the drafters; parameter names are the checkpoint's keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from dspark_bench.models.config import ModelConfig
from dspark_bench.models.rope import frequencies


class Rope:
    """Rotary embedding that pairs dimension i with i + head_dim / 2, as checkpoints do."""

    def __init__(self, config: ModelConfig, device: torch.device) -> None:
        self._frequency = frequencies(config.rope, config.head_dim).float().to(device)
        self._factor = config.rope.attention_factor

    def __call__(self, x: Tensor, positions: Tensor) -> Tensor:
        """x [N, H, T, hd], positions [N, T]."""
        angle = (positions.unsqueeze(-1) * self._frequency).unsqueeze(1)
        cos, sin = self._factor * angle.cos(), self._factor * angle.sin()
        first, second = x.float().chunk(2, dim=-1)
        turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
        return turned.to(x.dtype)


class NormModule(nn.Module):
    """RMS norm, computed in fp32 whatever the autocast dtype of its input."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """[..., size] -> [..., size], same dtype."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        scaled = wide * scale * self.weight
        return scaled.to(x.dtype)


class AttentionModule(nn.Module):
    """Projections and norms of one attention; the callers decide what attends to what.

    has_head_norms: whether query and key heads are normed, as Qwen3's are and Llama's are not.
    """

    def __init__(self, config: ModelConfig, input_size: int, has_head_norms: bool = True) -> None:
        super().__init__()
        hd, heads, kv = config.head_dim, config.num_attention_heads, config.num_key_value_heads
        self.head_dim = hd
        self.q_proj = nn.Linear(input_size, heads * hd, bias=False)
        self.k_proj = nn.Linear(input_size, kv * hd, bias=False)
        self.v_proj = nn.Linear(input_size, kv * hd, bias=False)
        self.o_proj = nn.Linear(heads * hd, config.hidden_size, bias=False)
        self.q_norm: nn.Module = nn.Identity()
        self.k_norm: nn.Module = nn.Identity()
        if has_head_norms:
            self.q_norm = NormModule(hd, config.rms_norm_eps)
            self.k_norm = NormModule(hd, config.rms_norm_eps)

    def queries(self, x: Tensor, positions: Tensor, rope: Rope) -> Tensor:
        """[N, T, in] -> rotated [N, Hq, T, hd]."""
        return rope(self.q_norm(self._heads(self.q_proj(x))).transpose(1, 2), positions)

    def keys(self, x: Tensor, positions: Tensor, rope: Rope) -> Tensor:
        """[N, T, in] -> rotated [N, Hkv, T, hd]."""
        return rope(self.k_norm(self._heads(self.k_proj(x))).transpose(1, 2), positions)

    def values(self, x: Tensor) -> Tensor:
        """[N, T, in] -> [N, Hkv, T, hd]."""
        return self._heads(self.v_proj(x)).transpose(1, 2)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Attend and project back: [N, T, D]. mask broadcasts to [N, 1, T, L] bool."""
        out = scaled_dot_product_attention(
            query, keys, values.to(query.dtype), attn_mask=mask, enable_gqa=True
        )
        merged: Tensor = self.o_proj(out.transpose(1, 2).flatten(2))
        return merged

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], -1, self.head_dim)


class MlpModule(nn.Module):
    """SwiGLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        out: Tensor = self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class LayerModule(nn.Module):
    """One decoder layer's parameters."""

    def __init__(self, config: ModelConfig, input_size: int, has_head_norms: bool = True) -> None:
        super().__init__()
        self.self_attn = AttentionModule(config, input_size, has_head_norms)
        self.mlp = MlpModule(config)
        self.input_layernorm = NormModule(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = NormModule(config.hidden_size, config.rms_norm_eps)

    def finish(self, residual: Tensor, attended: Tensor) -> Tensor:
        """Residual addition and MLP."""
        x = residual + attended
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class ConfidenceModule(nn.Module):
    """Logit of a slot's acceptance from its hidden state and, if given, the token before it."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.proj = nn.Linear(input_size, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., D or D + r] -> [...]."""
        logit: Tensor = self.proj(inputs)
        return logit.squeeze(-1)


def initialise(module: nn.Module, std: float = 0.02) -> None:
    """Normal matrices, zero biases; norms stay at one."""
    for name, weight in module.named_parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=std)
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
