"""Attention over a ragged batch: who sees what is packed once per pass, then used by every layer.

All tokens of all requests lie flattened in one [T, ...] tensor. Requests whose query lengths are
close share one batched attention call (`partition`); a prompt gets its own. Only attention pads.
A request may carry a tree of draft tokens: each names its parent, sees its ancestors alone, and is
rotated by its depth while its cache slot follows its index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from dspark_bench.models.kernels.interface import SpanTable
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.masks import additive_mask
from dspark_bench.models.partition import partition
from dspark_bench.models.scoring import PLAIN, Scoring, scored_attention
from dspark_bench.models.spans import Span as Span
from dspark_bench.models.spans import Visibility as Visibility
from dspark_bench.models.spans import depths

MAX_SPREAD = 3
"""Cache rows per request up to which a group reads the rows between its own rather than copy."""


@dataclass(frozen=True, slots=True)
class _Group:
    """G requests attended together, padded to Q queries and L keys.

    G counts rows of the cache between the group's own too, whose queries are discarded.
    folding: where padded queries come from and real outputs go to; None: the flat batch itself, in
    order and unpadded; rows [G] where keys must be gathered; views: every layer's keys and values
    [G, Hkv, L, head_dim] where the rows are neighbours and no copy is needed; masks: for each of
    the cache's windows [G, 1, share * Q, L], additive, repeated for the query heads that share a
    key head; None when everything is visible.
    """

    num_requests: int
    num_queries: int
    num_keys: int
    rows: Tensor | None
    views: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None
    masks: tuple[Tensor | None, ...]
    folding: "_Folding | None"


@dataclass(frozen=True, slots=True)
class _Folding:
    """Between the flat batch [T, Hq] of head vectors and the padded [G, Hkv, share * Q].

    queries [G * Hkv * share * Q]: rows of the flattened batch; outputs [n * Hq]: rows of the
    padded result, one per head of each of the group's n tokens; destination [n]: those tokens'
    places in the flat batch, None if they are all of it, in order.
    """

    queries: Tensor
    outputs: Tensor
    destination: Tensor | None


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """positions [T]: for rotary embedding; slots [T]: where keys and values are written.

    Of groups and table one is there: padded calls for torch, or the spans for compiled kernels.
    """

    positions: Tensor
    slots: Tensor
    num_tokens: int
    groups: tuple[_Group, ...]
    table: SpanTable | None = None


def plan_attention(
    spans: Sequence[Span], cache: KVCache, visibility: Visibility = Visibility.CAUSAL
) -> AttentionPlan:
    """Pack the metadata of one pass over `spans`, whose tokens lie flattened in that order."""
    positions, slots = _places(spans, cache)
    if cache.arrays is not None:
        table = span_table(spans, slots, visibility)
        return AttentionPlan(positions, slots, positions.shape[0], (), table)
    groups = tuple(
        _pack_group(members, spans, visibility, positions, cache)
        for members in partition([span.query_len for span in spans], [span.row for span in spans])
    )
    return AttentionPlan(positions, slots, positions.shape[0], groups)


def span_table(spans: Sequence[Span], slots: Tensor, visibility: Visibility) -> SpanTable:
    """The spans as numbers, for the compiled kernels."""
    rows = []
    parents: list[int] = []
    first = 0
    for span in spans:
        visible = -1
        if visibility is Visibility.BLOCK:
            visible = span.query_len if span.visible_len is None else span.visible_len
        tree = -1 if span.parents is None else len(parents)
        lens = (span.context_len, first, span.query_len, visible)
        rows.append((span.row, *lens, tree, span.num_cached))
        parents.extend(span.parents or ())
        first += span.query_len
    ancestors = np.array(parents, np.int64)
    return SpanTable(slots.numpy(), np.array(rows, np.int64), ancestors)


def _places(spans: Sequence[Span], cache: KVCache) -> tuple[Tensor, Tensor]:
    """Positions and cache slots of all tokens; for a single chain these are views, not copies."""
    if len(spans) == 1 and spans[0].parents is None:
        span = spans[0]
        base = span.row * cache.max_len + span.context_len
        positions = cache.index[span.context_len : span.context_len + span.query_len]
        return positions, cache.index[base : base + span.query_len]
    places: list[int] = []
    slots: list[int] = []
    for span in spans:
        base = span.row * cache.max_len + span.first_place
        slots.extend(range(base, base + span.query_len))
        places.extend(span.context_len + depth for depth in depths(span))
    table = torch.tensor([places, slots], dtype=torch.int64, device=cache.index.device)
    return table[0], table[1]


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cache: KVCache,
    layer: int,
    plan: AttentionPlan,
    scoring: Scoring = PLAIN,
) -> Tensor:
    """Write this layer's new keys and values to the cache, then attend.

    query [T, Hq, hd], key and value [T, Hkv, hd]; returns [T, Hq * hd].
    Mutates the cache at `plan.slots`.
    """
    cache.write(layer, plan.slots, key, value)
    num_tokens, num_heads, head_dim = query.shape
    if len(plan.groups) == 1:
        return _attend_group(query, cache, layer, plan.groups[0], scoring)
    out = query.new_empty(num_tokens, num_heads * head_dim)
    for group in plan.groups:
        assert group.folding is not None and group.folding.destination is not None
        own = _attend_group(query, cache, layer, group, scoring)
        out.index_copy_(0, group.folding.destination, own)
    return out


def _attend_group(
    query: Tensor, cache: KVCache, layer: int, group: _Group, scoring: Scoring
) -> Tensor:
    """query [T, Hq, hd] -> [n, Hq*hd] of the group's tokens.

    Query heads that share a key head become extra rows.
    """
    if group.views is None:
        assert group.rows is not None
        keys = cache.keys[layer][group.rows, : group.num_keys].transpose(1, 2)
        values = cache.values[layer][group.rows, : group.num_keys].transpose(1, 2)
    else:
        keys, values = group.views[0][layer], group.views[1][layer]
    num_heads, head_dim = query.shape[1], query.shape[2]
    num_kv = keys.shape[1]
    share = num_heads // num_kv
    size, width, folding = group.num_requests, group.num_queries, group.folding
    if folding is None:
        folded = query.view(size, width, num_kv, share, head_dim).permute(0, 2, 3, 1, 4)
        folded = folded.reshape(size, num_kv, share * width, head_dim)
    else:
        flat = query.reshape(-1, head_dim).index_select(0, folding.queries)
        folded = flat.view(size, num_kv, share * width, head_dim)
    mask = group.masks[cache.window_places[layer]]
    out = scored_attention(folded, keys, values, mask, scoring)
    if folding is None:
        out = out.view(size, num_kv, share, width, head_dim).permute(0, 3, 1, 2, 4)
        return out.reshape(size * width, num_heads * head_dim)
    rows = out.reshape(-1, head_dim).index_select(0, folding.outputs)
    return rows.view(-1, num_heads * head_dim)


def _pack_group(
    members: list[int],
    spans: Sequence[Span],
    visibility: Visibility,
    positions: Tensor,
    cache: KVCache,
) -> _Group:
    device = cache.index.device
    chosen = [spans[i] for i in members]
    width = max(span.query_len for span in chosen)
    num_keys = max(span.num_keys for span in chosen)
    first = chosen[0].row
    num_rows = chosen[-1].row + 1 - first
    is_dense = num_rows <= MAX_SPREAD * len(chosen)
    places = [span.row - first for span in chosen] if is_dense else list(range(len(chosen)))
    size = num_rows if is_dense else len(chosen)
    is_whole = (
        size == len(spans)
        and members == list(range(size))
        and all(span.query_len == width for span in chosen)
    )
    present: list[Span | None] = [None] * size
    for place, span in zip(places, chosen, strict=True):
        present[place] = span
    own, folding = positions, None
    if not is_whole:
        tokens = _padded_tokens(members, places, size, spans, width)
        own = positions[torch.tensor(tokens, device=device)]
        folding = _fold(tokens, members, places, spans, width, cache)
    return _Group(
        num_requests=size,
        num_queries=width,
        num_keys=num_keys,
        rows=None if is_dense else torch.tensor([s.row for s in chosen], device=device),
        views=_views(first, num_rows, num_keys, cache) if is_dense else None,
        masks=tuple(
            additive_mask(present, visibility, own.view(-1, 1, width, 1), num_keys, cache, window)
            for window in cache.windows
        ),
        folding=folding,
    )


def _views(
    first: int, num_rows: int, num_keys: int, cache: KVCache
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    last = first + num_rows
    keys = cache.keys[:, first:last, :num_keys].transpose(2, 3).unbind(0)
    values = cache.values[:, first:last, :num_keys].transpose(2, 3).unbind(0)
    return keys, values


def _starts(spans: Sequence[Span]) -> list[int]:
    """First token of each request in the flat batch."""
    return list(accumulate((span.query_len for span in spans[:-1]), initial=0))


def _padded_tokens(
    members: list[int], places: list[int], size: int, spans: Sequence[Span], width: int
) -> list[int]:
    """[size * width]: the token of the flat batch that stands at each padded place.

    Padding repeats a real token: the request's last, or the batch's first in a row of no request.
    """
    starts = _starts(spans)
    tokens = [0] * (size * width)
    for place, i in zip(places, members, strict=True):
        start, length = starts[i], spans[i].query_len
        last = start + length - 1
        tokens[place * width : (place + 1) * width] = [
            *range(start, start + length),
            *([last] * (width - length)),
        ]
    return tokens


def _fold(
    tokens: list[int],
    members: list[int],
    places: list[int],
    spans: Sequence[Span],
    width: int,
    cache: KVCache,
) -> _Folding:
    """Index tensors between the flat batch and the padded group."""
    device = cache.index.device
    num_kv, share = cache.keys.shape[3], cache.num_shared_heads
    num_heads = num_kv * share
    heads = torch.arange(num_heads, device=device)
    padded = torch.tensor(tokens, device=device).view(-1, 1, width)
    queries = (padded * num_heads + heads.view(1, -1, 1)).flatten()
    starts = _starts(spans)
    ordered = sorted(zip(members, places, strict=True))
    real = [(place, slot) for i, place in ordered for slot in range(spans[i].query_len)]
    where = torch.tensor(real, device=device)
    outputs = ((where[:, :1] * num_heads + heads) * width + where[:, 1:]).flatten()
    if len(members) == len(spans):
        return _Folding(queries, outputs, None)
    wanted = [starts[i] + slot for i, _ in ordered for slot in range(spans[i].query_len)]
    return _Folding(queries, outputs, torch.tensor(wanted, device=device))
