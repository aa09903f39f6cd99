"""The target along a whole text, a piece at a time: memory grows with the text, not its square.

For what is judged after a run; the engine's own prompts are read by `prompt_chunks`.
"""

import torch
from torch import Tensor

from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.target import Target, TargetOutput

PIECE_TOKENS = 512


def run_along(
    target: Target,
    tokens: Tensor,
    first: int = 0,
    feature_layers: tuple[int, ...] = (),
    cache: KVCache | None = None,
    row: int = 0,
) -> TargetOutput:
    """Logits [T - first, V] of the tokens [T] from place `first` on; features [T, m*D] of all.

    cache: whose `row` is written; None: one that is forgotten.
    """
    num_tokens = tokens.shape[0]
    cache = target.new_cache(1, num_tokens) if cache is None else cache
    seen = []
    for start in range(0, num_tokens, PIECE_TOKENS):
        count = min(PIECE_TOKENS, num_tokens - start)
        plan = plan_attention([Span(row, start, count)], cache)
        rows = None
        if start < first:
            rows = torch.arange(min(first - start, count), count, device=tokens.device)
        piece = tokens[start : start + count]
        seen.append(target.forward(piece, plan, cache, rows, feature_layers))
    features = [output.features for output in seen if output.features is not None]
    return TargetOutput(
        torch.cat([output.logits for output in seen]), torch.cat(features) if features else None
    )
