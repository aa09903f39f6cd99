"""Attention of a ragged batch without padding, masks or copies: each request over its own rows.

Scores of a query are computed key by key, its weights by one softmax, its output value by value,
all in the order of the keys it sees: the context, then its ancestors among the new tokens. So the
bits of a token's output depend on what it sees and on nothing else: not on other requests, nor on
how many tokens are verified with it, nor on whether it stands in a chain or in a tree.
"""

import numpy as np

from dspark_bench.models.kernels.block_shapes import LANES, MOST_QUERIES, MOST_ROWS
from dspark_bench.models.kernels.compiler import compiled, compiled_sum, inlined, shared
from dspark_bench.models.kernels.elementwise import exponential, largest_of
from dspark_bench.models.kernels.interface import NO_WINDOW
from dspark_bench.models.kernels.products import multiply_rows
from dspark_bench.models.kernels.vector_code import (
    FLOAT_BYTES,
    KEYS,
    PANEL_BYTES,
    ask_for,
    score_blocks,
)

ROW, CONTEXT, FIRST, LENGTH, VISIBLE, TREE, CACHED = range(7)
"""Columns of a table of spans. VISIBLE: new tokens that all see (a block), or -1: causal; TREE:
where a tree's parents begin, or -1; CACHED: its tokens that lie behind the context already."""

ALONE = np.int64(0)
"""Bytes ahead where nothing follows."""

_block = score_blocks(MOST_QUERIES, LANES)


@compiled
def attend_rows(query, keys, values, spans, parents, out, part, num_parts, window=NO_WINDOW):
    """query [T, at least Hq * hd]; keys, values [rows, max_len, Hkv, hd]; out [T, Hq * hd].

    spans [B, 7]; parents: of all trees' tokens, each among those of its own tree; -1 for the
    context; window: how many positions a query sees, up to its own. hd is a multiple of 16.
    Computes every `num_parts`th piece of the work.
    """
    piece = np.int64(0)
    most, head_dim = np.int64(0), keys.shape[3]
    num_rows = max(MOST_ROWS, out.shape[1] // (keys.shape[2] * head_dim))
    scale = np.float32(1 / np.sqrt(head_dim))
    for index in range(spans.shape[0]):
        span = spans[index]
        most = max(most, span[CONTEXT] + span[CACHED] + max(span[LENGTH], span[VISIBLE]))
    room = (
        np.empty((num_rows, head_dim), np.float32),
        np.empty((num_rows, most + LANES), np.float32),
        np.empty((num_rows, head_dim), np.float32),
        np.empty(num_rows, np.float32),
    )
    for index in range(spans.shape[0]):
        span = spans[index]
        if span[TREE] >= 0:
            if piece % num_parts == part:
                own_keys, own_values = keys[span[ROW]], values[span[ROW]]
                _attend_tree(query, own_keys, own_values, span, parents, window, scale, room, out)
            piece += 1
        else:
            own_keys, own_values = keys[span[ROW]], values[span[ROW]]
            following = spans[min(index + 1, spans.shape[0] - 1)]
            ahead = (following[ROW] - span[ROW]) * keys.strides[0]
            piece = _attend_chain(
                query,
                own_keys,
                own_values,
                span,
                window,
                scale,
                ahead,
                room,
                out,
                piece,
                part,
                num_parts,
            )


@compiled
def _attend_chain(
    query, keys, values, span, window, scale, ahead, room, out, piece, part, num_parts
):
    """One request's chain or block. Up to MOST_ROWS queries share each value that is read: a piece.

    piece: number of the first piece, among all of the pass; returns that of the next request's.
    """
    num_kv, head_dim = keys.shape[1], keys.shape[2]
    share = out.shape[1] // (num_kv * head_dim)
    num_rows = span[LENGTH] * share
    queries, weights, mixed, totals = room
    for kv in range(num_kv):
        own_keys, own_values = keys[0, kv:].ctypes.data, values[0, kv:].ctypes.data
        step = keys.strides[0]
        for start in range(0, num_rows, MOST_ROWS):
            piece += 1
            if (piece - 1) % num_parts != part:
                continue
            count = min(MOST_ROWS, num_rows - start)
            first = _first_visible(span[CONTEXT] + start // share, window)
            longest = _num_visible(span, (start + count - 1) // share)
            skipped = first * step
            for place in range(count):
                token, head = (start + place) // share, kv * share + (start + place) % share
                columns = slice(head * head_dim, (head + 1) * head_dim)
                _copy(query[span[FIRST] + token, columns], queries[place])
            num_keys, most_keys = longest - first, keys.shape[0] - first
            _score(
                queries, count, own_keys + skipped, step, num_keys, most_keys, weights, first, ahead
            )
            for place in range(count):
                token = (start + place) // share
                seen, own = _num_visible(span, token), _first_visible(span[CONTEXT] + token, window)
                totals[place] = _softmax(weights[place, own:], seen - own, scale)
                weights[place, first:own] = 0
                weights[place, seen:longest] = 0
            own = own_values + skipped
            _mix(weights[:, first:], count, own, step, num_keys, mixed, np.int64(0), ahead)
            for place in range(count):
                token, head = (start + place) // share, kv * share + (start + place) % share
                columns = slice(head * head_dim, (head + 1) * head_dim)
                _divide(mixed[place], totals[place], out[span[FIRST] + token, columns])
    return piece


@inlined
def _copy(source, target):
    for i in range(target.shape[0]):
        target[i] = source[i]


@inlined
def _divide(source, by, target):
    for i in range(target.shape[0]):
        target[i] = source[i] / by


@inlined
def _num_visible(span, token):
    """How many keys the span's token sees: up to itself, or the whole block."""
    return span[CONTEXT] + (token + 1 if span[VISIBLE] < 0 else span[VISIBLE])


@inlined
def _first_visible(position, window):
    """The first position that the query at `position` sees."""
    return max(0, position + 1 - window)


@compiled
def _attend_tree(query, keys, values, span, parents, window, scale, room, out):
    """One request's tree: each token sees the context, its ancestors and itself.

    As many queries as a piece has share each key and value of the context; a path is its token's.
    """
    num_kv, head_dim = keys.shape[1], keys.shape[2]
    share = out.shape[1] // (num_kv * head_dim)
    context, cached, length = span[CONTEXT], span[CACHED], span[LENGTH]
    most_tokens = max(1, MOST_ROWS // share)
    queries, weights, mixed, totals = room
    own_parents, size = parents[span[TREE] :], cached + length
    paths, depths = np.empty((most_tokens, size), np.int64), np.empty(most_tokens, np.int64)
    branch = np.empty((size + KEYS, head_dim), np.float32)
    step, branch_step = keys.strides[0], head_dim * FLOAT_BYTES
    place_of_branch = np.int64(branch.ctypes.data)
    for start in range(0, length, most_tokens):
        count = min(most_tokens, length - start)
        near = context
        for own in range(count):
            depths[own] = _find_path(own_parents, cached + start + own, paths[own])
            near = min(near, _first_visible(context + depths[own] - 1, window))
        num_rows, left, skipped = count * share, context - near, near * step
        for kv in range(num_kv):
            own_keys, own_values = keys[0, kv:].ctypes.data, values[0, kv:].ctypes.data
            for row in range(num_rows):
                token, head = start + row // share, kv * share + row % share
                columns = slice(head * head_dim, (head + 1) * head_dim)
                _copy(query[span[FIRST] + token, columns], queries[row])
            place, most = own_keys + skipped, keys.shape[0] - near
            _score(queries, num_rows, place, step, left, most, weights, near, ALONE)
            for own in range(count):
                depth, rows = depths[own], own * share
                _gather(keys, context, paths[own], depth, kv, branch)
                _score(
                    *(queries[rows:], share, place_of_branch, branch_step, depth),
                    *(branch.shape[0], weights[rows:], context, ALONE),
                )
                first = _first_visible(context + depth - 1, window)
                for row in range(rows, rows + share):
                    totals[row] = _softmax(weights[row, first:], context + depth - first, scale)
                    weights[row, near : min(first, context)] = 0
            place = own_values + skipped
            _mix(weights[:, near:], num_rows, place, step, left, mixed, np.int64(0), ALONE)
            for own in range(count):
                depth, rows = depths[own], own * share
                _gather(values, context, paths[own], depth, kv, branch)
                beyond = max(0, _first_visible(context + depth - 1, window) - context)
                place = place_of_branch + beyond * branch_step
                _mix(
                    *(weights[rows:, context + beyond :], share, place, branch_step),
                    *(depth - beyond, mixed[rows:], np.int64(1), ALONE),
                )
            for row in range(num_rows):
                token, head = start + row // share, kv * share + row % share
                columns = slice(head * head_dim, (head + 1) * head_dim)
                _divide(mixed[row], totals[row], out[span[FIRST] + token, columns])


@inlined
def _gather(stored, context, path, depth, kv, branch):
    """Of the path's `depth` tokens, from the first, keys or values of one head."""
    for place in range(depth):
        _copy(stored[context + path[depth - 1 - place], kv], branch[place])


@compiled
def _find_path(parents, token, path):
    """Write the token and its ancestors, upwards, to `path`; returns how many they are."""
    depth, place = 0, token
    while place >= 0:
        path[depth] = place
        depth, place = depth + 1, parents[place]
    return depth


@compiled
def _score(queries, num_queries, keys, step, count, most, weights, offset, ahead):
    """weights[i, offset + j] = dot(queries[i], keys[j]) for the first `num_queries` and `count`.

    keys: the address of the first of `most` that may be read; step: bytes from one to the next.
    Writes as far as the next whole block of KEYS, where that may be read.
    """
    _score_rows(
        *(num_queries, queries.shape[1], queries.ctypes.data, keys, step, count, most),
        *(weights.ctypes.data + offset * FLOAT_BYTES, weights.strides[0], ahead),
    )


@shared
def _score_rows(num_queries, head_dim, queries, keys, step, count, most, out, out_step, ahead):
    """`score_blocks` for any number of queries and keys; addresses and bytes throughout."""
    q_step = head_dim * FLOAT_BYTES
    for first in range(0, num_queries, MOST_QUERIES):
        number = min(MOST_QUERIES, num_queries - first)
        own, target = queries + first * q_step, out + first * out_step
        j = 0
        while j < count:
            width = KEYS if j + KEYS <= most else 1
            key = keys + j * step
            if first == 0 and ahead != 0:
                ask_for(key + ahead, step, q_step)
            place = target + j * FLOAT_BYTES
            _block(number, width, own, q_step, key, step, head_dim, place, out_step)
            j += width


@compiled_sum
def _softmax(scores, count, scale):
    """The first `count` scores, times `scale`, become weights relative to the largest; their sum.

    There is room for a multiple of LANES: what lies behind the last is written, too.
    """
    largest = largest_of(scores[:count])
    for j in range(-(-count // LANES) * LANES):
        scores[j] = exponential((scores[j] - largest) * scale)
    total = np.float32(0)
    for j in range(count):
        total += scores[j]
    return total


@compiled
def _mix(weights, num_rows, values, step, count, out, is_more, ahead):
    """out [R, hd] (+)= weights [R, L] times the first `count` values, from address `values`."""
    source, x_step = weights.ctypes.data, weights.strides[0]
    target, out_step = out.ctypes.data, out.strides[0]
    multiply_rows(
        num_rows,
        out_step // PANEL_BYTES,
        source,
        x_step,
        values,
        step,
        PANEL_BYTES,
        np.int64(0),
        count,
        target,
        out_step,
        is_more,
        ahead,
    )
