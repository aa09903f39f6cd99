"""How a layer turns scores into weights: its scale, a soft cap, and sinks.

Gemma 2 bounds its scores by a soft cap; gpt-oss gives each query head a sink, a score that takes
its share of the weights and has no value.
"""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Scoring:
    """scale: what scores are multiplied by, None for 1 / sqrt(head_dim); softcap: scores become
    softcap * tanh(score / softcap), before the mask; sinks [Hq]: a further score of each query.
    """

    scale: float | None = None
    softcap: float | None = None
    sinks: Tensor | None = None


PLAIN: Final = Scoring()


def scored_attention(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scoring: Scoring
) -> Tensor:
    """query [G, Hkv, share * Q, hd], keys and values [G, Hkv, L, hd] -> like query.

    mask: additive, broadcast over heads; None where everything is seen. The query heads that share
    a key head are consecutive blocks of Q rows.
    """
    if scoring.softcap is None and scoring.sinks is None:
        return F.scaled_dot_product_attention(
            query, keys, values, attn_mask=mask, scale=scoring.scale
        )
    size, num_kv, num_rows, head_dim = query.shape
    scale = head_dim**-0.5 if scoring.scale is None else scoring.scale
    scores = (query @ keys.transpose(-1, -2)) * scale
    if scoring.softcap is not None:
        scores = torch.tanh(scores / scoring.softcap) * scoring.softcap
    if mask is not None:
        scores = scores + mask
    if scoring.sinks is None:
        return torch.softmax(scores.float(), dim=-1).to(values.dtype) @ values
    share = scoring.sinks.shape[0] // num_kv
    sinks = scoring.sinks.to(scores.dtype).view(1, num_kv, share, 1)
    column = sinks.expand(size, -1, -1, num_rows // share).reshape(size, num_kv, num_rows, 1)
    weights = torch.softmax(torch.cat([scores, column], dim=-1).float(), dim=-1)
    return weights[..., :-1].to(values.dtype) @ values
