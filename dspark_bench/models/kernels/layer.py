"""All decoder layers as one compiled call; a layer's two halves, for drafters that feed them apart;
and what a drafter's layers keep of tokens that they do not compute.

Every thread of a call gets the same arrays and its own `part`, and they meet at `gate`. Where a row
is needed by all, each computes it for itself: that is cheaper than to wait once more.
"""

import numpy as np

from dspark_bench.models.kernels.compiler import compiled
from dspark_bench.models.kernels.elementwise import (
    add_rows,
    add_to,
    gate_rows,
    normalise,
    normalise_rows,
    rotate_pairs,
)
from dspark_bench.models.kernels.products import multiply
from dspark_bench.models.kernels.ragged_attention import attend_rows
from dspark_bench.models.kernels.teamwork import wait


@compiled
def attention_pass(inputs, weights, eps, scene, room, out, gate, part, num_parts):
    """Normed inputs [T, in] -> out [T, D]; writes keys and values at `slots` [T] of the cache.

    weights: `interface.LayerWeights.attention`; scene: rotation [T, 1, hd / 2] complex,
    keys and values [rows, max_len, Hkv, hd], slots, spans, parents (`interface.SpanTable`); room:
    for intermediate results, [T, (Hq + 2 Hkv) hd] and [T, Hq hd].
    """
    qkv, out_weight, norms, bias, out_bias, window = weights
    rotation, keys, values, slots, spans, parents = scene
    fused, attended = room
    num_tokens, head_dim = inputs.shape[0], norms.shape[1]
    num_kv = keys.shape[2]
    size = attended.shape[1]
    multiply(inputs, qkv, fused, part, num_parts)
    wait(gate, num_parts)
    max_len = keys.shape[1]
    for token in range(part, num_tokens, num_parts):
        row, place = slots[token] // max_len, slots[token] % max_len
        add_to(bias, fused[token])
        for head in range(size // head_dim + num_kv):
            vector = fused[token, head * head_dim : (head + 1) * head_dim]
            if norms.shape[0]:
                normalise(vector, norms[head], eps, vector)
            rotate_pairs(vector, rotation[token, 0])
        for head in range(num_kv):
            for i in range(head_dim):
                place_of_key = size + head * head_dim + i
                keys[row, place, head, i] = fused[token, place_of_key]
                values[row, place, head, i] = fused[token, place_of_key + num_kv * head_dim]
    wait(gate, num_parts)
    attend_rows(fused, keys, values, spans, parents, attended, part, num_parts, window[0])
    wait(gate, num_parts)
    multiply(attended, out_weight, out, part, num_parts)
    wait(gate, num_parts)
    if out_bias.shape[0]:
        for token in range(part, num_tokens, num_parts):
            add_to(out_bias, out[token])
        wait(gate, num_parts)


@compiled
def finish_pass(residual, attended, weights, eps, room, out, gate, part, num_parts):
    """out [T, D] = x + down(silu(gate(n)) * up(n)) with x = residual + attended, n = norm(x).

    weights: the norm, gate and up as one, down; room: [T, 2 I] and [T, I], I the inner size.
    """
    norm, gate_up, down = weights
    fused, gated = room
    num_tokens, hidden = residual.shape
    summed = np.empty((num_tokens, hidden), np.float32)
    add_rows(residual, attended, summed)
    normed = np.empty((num_tokens, hidden), np.float32)
    normalise_rows(summed, norm, eps, normed)
    multiply(normed, gate_up, fused, part, num_parts)
    wait(gate, num_parts)
    gate_rows(fused, gated, part, num_parts)
    wait(gate, num_parts)
    multiply(gated, down, out, part, num_parts)
    wait(gate, num_parts)
    for row in range(part, num_tokens, num_parts):
        for i in range(hidden):
            out[row, i] += summed[row, i]


@compiled
def store_context(fused, norms, eps, rotation, slots, keys, values):
    """Norm and rotate keys; write them and the values of all layers at `slots` [T] of the cache.

    fused [T, 2 L Hkv hd]: keys of all layers, then their values; its keys are overwritten. norms
    [L Hkv, hd]; rotation [T, 1, hd / 2] complex; keys, values [L, rows, max_len, Hkv, hd].
    """
    depth, _, max_len, num_kv, head_dim = keys.shape
    behind = depth * num_kv * head_dim
    for token in range(fused.shape[0]):
        row, place = slots[token] // max_len, slots[token] % max_len
        for head in range(depth * num_kv):
            layer, own, first = head // num_kv, head % num_kv, head * head_dim
            vector = fused[token, first : first + head_dim]
            normalise(vector, norms[head], eps, vector)
            rotate_pairs(vector, rotation[token, 0])
            for i in range(head_dim):
                keys[layer, row, place, own, i] = vector[i]
                values[layer, row, place, own, i] = fused[token, behind + first + i]


@compiled
def stack_pass(x, weights, eps, scene, room, taps, tapped, out, gate, part, num_parts):
    """x [T, D] -> out [T, D]: all layers; tapped [taps, T, D]: what the layers `taps` gave.

    weights: the norms of the inputs [L, D], then those of the two halves, each array with a leading
    axis of layers, as keys and values have in `scene`; room: [T, D] twice and that of the halves.
    """
    norms, attention, finish = weights
    rotation, keys, values, slots, spans, parents = scene
    other, attended, attention_room, finish_room = room
    depth = norms.shape[0]
    normed = np.empty(x.shape, np.float32)
    source = x
    for layer in range(depth):
        target = out if (depth - layer) % 2 else other
        normalise_rows(source, norms[layer], eps, normed)
        own = (
            attention[0][layer],
            attention[1][layer],
            attention[2][layer],
            attention[3][layer],
            attention[4][layer],
            attention[5][layer],
        )
        place = (rotation, keys[layer], values[layer], slots, spans, parents)
        attention_pass(normed, own, eps, place, attention_room, attended, gate, part, num_parts)
        rest = (finish[0][layer], finish[1][layer], finish[2][layer])
        finish_pass(source, attended, rest, eps, finish_room, target, gate, part, num_parts)
        wait(gate, num_parts)
        for tap in range(taps.shape[0]):
            if taps[tap] == layer:
                for row in range(part, x.shape[0], num_parts):
                    for i in range(x.shape[1]):
                        tapped[tap, row, i] = target[row, i]
        source = target
