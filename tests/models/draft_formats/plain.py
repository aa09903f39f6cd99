"""EAGLE-3 in plain torch, from its published description: no cache, no fused products, one text.

The layer reads [norm(embedding of token i+1); norm(hidden i)] at position i; the residual is the
un-normed hidden state, which is also what the next draft step reads. What a step drafts joins the
text that the layer attends to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.tiny_formats import EPS, HEAD_DIM, HEADS, KV_HEADS, THETA


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + EPS).sqrt() * weight


def rope(x: Tensor, positions: Tensor) -> Tensor:
    """x [T, H, hd]: dimension i turns with i + hd/2."""
    half = HEAD_DIM // 2
    angle = positions.float()[:, None, None] * THETA ** (-torch.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def attention(x: Tensor, weights: Mapping[str, Tensor], prefix: str) -> Tensor:
    """Causal, grouped queries. x [T, in] -> [T, D]."""
    positions = torch.arange(len(x))
    query = rope((x @ weights[f"{prefix}q_proj.weight"].T).view(-1, HEADS, HEAD_DIM), positions)
    key = rope((x @ weights[f"{prefix}k_proj.weight"].T).view(-1, KV_HEADS, HEAD_DIM), positions)
    value = (x @ weights[f"{prefix}v_proj.weight"].T).view(-1, KV_HEADS, HEAD_DIM)
    mixed = []
    for head in range(HEADS):
        group = head * KV_HEADS // HEADS
        scores = query[:, head] @ key[:, group].T / HEAD_DIM**0.5
        scores = scores.masked_fill(torch.ones(len(x), len(x)).triu(1).bool(), -torch.inf)
        mixed.append(scores.softmax(-1) @ value[:, group])
    return torch.cat(mixed, -1) @ weights[f"{prefix}o_proj.weight"].T


def mlp(x: Tensor, weights: Mapping[str, Tensor], prefix: str) -> Tensor:
    gate = F.silu(x @ weights[f"{prefix}gate_proj.weight"].T)
    return (gate * (x @ weights[f"{prefix}up_proj.weight"].T)) @ weights[
        f"{prefix}down_proj.weight"
    ].T


@dataclass
class Eagle3:
    """weights: as in the file; embed: the target's, or the file's."""

    weights: Mapping[str, Tensor]
    embed: Tensor
    prefix: str = "midlayer."
    norms_residual: bool = False
    norms_before_fc: bool = False

    def layer(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        w, p = self.weights, self.prefix
        normed = rms(hidden, w[f"{p}hidden_norm.weight"])
        joined = torch.cat([rms(self.embed[tokens], w[f"{p}input_layernorm.weight"]), normed], -1)
        x = (normed if self.norms_residual else hidden) + attention(joined, w, f"{p}self_attn.")
        return x + mlp(rms(x, w[f"{p}post_attention_layernorm.weight"]), w, f"{p}mlp.")

    def logits(self, features: Tensor, tokens: Tensor, drafts: Tensor) -> Tensor:
        """features [T, 3 D] of a text, the tokens [T] that follow each, drafts [K] -> [K, U]."""
        if self.norms_before_fc:
            features = rms(features, self.weights["input_norm.weight"])
        hidden, found = features @ self.weights["fc.weight"].T, []
        for draft in drafts:
            out = self.layer(hidden, tokens)[-1:]
            found.append(rms(out, self.weights["norm.weight"]) @ self.weights["lm_head.weight"].T)
            hidden, tokens = torch.cat([hidden, out]), torch.cat([tokens, draft.view(1)])
        return torch.cat(found)


def drafted(weights: Mapping[str, Tensor]) -> Tensor:
    """Target tokens [U], from the offsets."""
    return torch.tensor([i + int(offset) for i, offset in enumerate(weights["d2t"])])
