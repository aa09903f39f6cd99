"""Drafters in plain torch, from their published descriptions: no cache, no fused products.

EAGLE-3: the layer reads [norm(embedding of token i+1); norm(hidden i)] at position i; the residual
is the un-normed hidden state, which is also what the next draft step reads. What a step drafts
joins the text that the layer attends to.

EAGLE-1: the layer reads fc([embedding of token i+1; state i]) as it is, adds to it, and its output
is the next state, of which the target's head makes a token.

DFlash and DSpark: a block [anchor, mask, ...] behind a context whose keys and values come from
hidden_norm(fc(features)) in every layer; all of both is seen. Slot j drafts token anchor + j + 1,
or anchor + j in place, where the anchor's slot is left out. DSpark adds a bias from the token
before each draft: W2 e, with e = W1[token], or gated W2 (sigmoid(Wg [h; e] + b) e).
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


def attention(
    x: Tensor,
    weights: Mapping[str, Tensor],
    prefix: str,
    context: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """Grouped queries. x [T, in] -> [T, D]. Causal, or with a context [C, in] over all of that and
    all of x, which comes behind it, if not causal again. Heads are normed where the file has norms
    for them.
    """
    seen = x if context is None else torch.cat([context, x])
    places = torch.arange(len(seen))

    def heads(inputs: Tensor, letter: str, count: int) -> Tensor:
        split = (inputs @ weights[f"{prefix}{letter}_proj.weight"].T).view(-1, count, HEAD_DIM)
        norm = weights.get(f"{prefix}{letter}_norm.weight")
        return split if norm is None else rms(split, norm)

    query = rope(heads(x, "q", HEADS), places[-len(x) :])
    key, value = rope(heads(seen, "k", KV_HEADS), places), heads(seen, "v", KV_HEADS)
    mixed = []
    for head in range(HEADS):
        group = head * KV_HEADS // HEADS
        scores = query[:, head] @ key[:, group].T / HEAD_DIM**0.5
        if context is None or is_causal:
            later = places > places[-len(x) :, None]
            scores = scores.masked_fill(later, -torch.inf)
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


@dataclass
class Eagle:
    """weights: as in the file; embed, head: the target's."""

    weights: Mapping[str, Tensor]
    embed: Tensor
    head: Tensor

    def layer(self, states: Tensor, tokens: Tensor) -> Tensor:
        w, p = self.weights, "layers.0."
        x = torch.cat([self.embed[tokens], states], -1) @ w["fc.weight"].T + w.get("fc.bias", 0)
        x = x + attention(x, w, f"{p}self_attn.")
        return x + mlp(rms(x, w[f"{p}post_attention_layernorm.weight"]), w, f"{p}mlp.")

    def logits(self, states: Tensor, tokens: Tensor, drafts: Tensor) -> Tensor:
        """states [T, D] of a text, the tokens [T] that follow each, drafts [K] -> [K, V]."""
        found = []
        for draft in drafts:
            out = self.layer(states, tokens)[-1:]
            found.append(out @ self.head.T)
            states, tokens = torch.cat([states, out]), torch.cat([tokens, draft.view(1)])
        return torch.cat(found)


def drafted(weights: Mapping[str, Tensor]) -> Tensor:
    """Target tokens [U], from the offsets."""
    return torch.tensor([i + int(offset) for i, offset in enumerate(weights["d2t"])])


@dataclass
class Block:
    """weights: as in the file; embed, head: the target's, or the file's."""

    weights: Mapping[str, Tensor]
    embed: Tensor
    head: Tensor
    mask_token: int
    in_place: bool
    depth: int = 2
    is_causal: bool = False

    def hidden(self, features: Tensor, anchor: int, num_drafts: int) -> Tensor:
        """features [T, m D] of the text before the anchor -> [K, D] of the drafting slots."""
        w, extra = self.weights, int(self.in_place)
        context = rms(features @ w["fc.weight"].T, w["hidden_norm.weight"])
        x = self.embed[torch.tensor([anchor] + [self.mask_token] * (num_drafts + extra - 1))]
        for layer in range(self.depth):
            p = f"layers.{layer}."
            normed = rms(x, w[f"{p}input_layernorm.weight"])
            x = x + attention(normed, w, f"{p}self_attn.", context, self.is_causal)
            x = x + mlp(rms(x, w[f"{p}post_attention_layernorm.weight"]), w, f"{p}mlp.")
        return rms(x, w["norm.weight"])[extra:]

    def logits(self, features: Tensor, anchor: int, drafts: Tensor) -> Tensor:
        """[K, U], each slot's behind the anchor and the drafts before it."""
        w, hidden = self.weights, self.hidden(features, anchor, len(drafts))
        base = hidden @ self.head.T
        if "markov_head.markov_w1.weight" not in w:
            return base
        before = torch.cat([torch.tensor([anchor]), drafts[:-1]])
        e = w["markov_head.markov_w1.weight"][before]
        if "markov_head.gate_proj.weight" in w:
            gate = torch.cat([hidden, e], -1) @ w["markov_head.gate_proj.weight"].T
            e = (gate + w["markov_head.gate_proj.bias"]).sigmoid() * e
        return base + e @ w["markov_head.markov_w2.weight"].T

    def confidence(self, features: Tensor, anchor: int, drafts: Tensor) -> Tensor:
        """[K]: of the hidden state and the token before, never of the draft itself."""
        w, hidden = self.weights, self.hidden(features, anchor, len(drafts))
        before = torch.cat([torch.tensor([anchor]), drafts[:-1]])
        read = torch.cat([hidden, w["markov_head.markov_w1.weight"][before]], -1)
        score = read @ w["confidence_head.proj.weight"].T + w["confidence_head.proj.bias"]
        return score.sigmoid()[:, 0]


def over_all(probs: Tensor, weights: Mapping[str, Tensor], vocab: int) -> Tensor:
    """probs [K, U] of the tokens that can be drafted -> [K, V]."""
    if "d2t" not in weights:
        return probs
    wide = torch.zeros(len(probs), vocab)
    wide[:, drafted(weights)] = probs
    return wide
