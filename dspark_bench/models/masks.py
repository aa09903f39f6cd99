"""Masks of padded attention calls, for torch's operations: which keys each query sees."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.tree import node_depths
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.spans import Span, Visibility


def additive_mask(
    present: Sequence[Span | None],
    visibility: Visibility,
    positions: Tensor,
    num_keys: int,
    cache: KVCache,
    window: int | None,
) -> Tensor | None:
    """Additive mask [G, 1, share * Q, L], or None when every query sees every key.

    positions [G, 1, Q, 1]: of the padded queries. A row of no request (None) sees something, so
    that its discarded output is a number.
    """
    visible = _visible(present, visibility, positions, num_keys, cache)
    if window is not None and num_keys > window:
        recent = _recent(present, positions, num_keys, cache, window)
        visible = recent if visible is None else visible & recent
    return None if visible is None else cache.additive(visible)


def _visible(
    present: Sequence[Span | None],
    visibility: Visibility,
    positions: Tensor,
    num_keys: int,
    cache: KVCache,
) -> Tensor | None:
    """Without a window: [G, 1, share * Q, L] bool, or None when every query sees every key."""
    device, width = cache.index.device, positions.shape[2]
    share = cache.num_shared_heads
    real = [span for span in present if span is not None]
    if any(span.parents is not None for span in real):
        trees = torch.from_numpy(_trees_visible(present, width, num_keys))
        return trees.to(device).unsqueeze(1).repeat(1, 1, share, 1)
    if visibility is Visibility.CAUSAL:
        if width == 1 and all(span.context_len + 1 == num_keys for span in real):
            return None
        return cache.index[:num_keys] <= positions.repeat(1, 1, share, 1)
    limits = [num_keys if span is None else _limit(span) for span in present]
    if all(limit == num_keys for limit in limits):
        return None
    ends = torch.tensor(limits, device=device).view(-1, 1, 1, 1)
    return (cache.index[:num_keys] < ends).expand(-1, 1, share * width, -1)


def _recent(
    present: Sequence[Span | None],
    positions: Tensor,
    num_keys: int,
    cache: KVCache,
    window: int,
) -> Tensor:
    """[G, 1, share * Q, L] bool: keys at the query's position or less than `window` before it."""
    places = cache.index[:num_keys].repeat(len(present), 1)
    for row, span in zip(places, present, strict=True):
        if span is None:
            row.fill_(num_keys + cache.max_len)
        elif span.parents is not None:
            own = [span.context_len + depth for depth in node_depths(span.parents)]
            row[span.context_len : span.num_keys] = row.new_tensor(own)
    return places[:, None, None] > positions.repeat(1, 1, cache.num_shared_heads, 1) - window


def _limit(span: Span) -> int:
    """First position that a block's queries do not see."""
    visible = span.query_len if span.visible_len is None else span.visible_len
    return span.context_len + visible


def _trees_visible(
    present: Sequence[Span | None], width: int, num_keys: int
) -> "np.ndarray[tuple[int, int, int], np.dtype[np.bool_]]":
    """[G, Q, L]: the context and each token's ancestors (a chain when it has no parents)."""
    visible = np.zeros((len(present), width, num_keys), dtype=np.bool_)
    for rows, span in zip(visible, present, strict=True):
        if span is None:
            rows[:, :] = True
            continue
        parents = span.parents or range(-1, span.query_len - 1)
        own = np.zeros((len(parents), len(parents)), dtype=np.bool_)
        for index, parent in enumerate(parents):
            if parent >= 0:
                own[index] = own[parent]
            own[index, index] = True
        rows[:, : span.context_len] = True
        rows[: span.query_len, span.context_len : span.num_keys] = own[span.num_cached :]
    return visible
