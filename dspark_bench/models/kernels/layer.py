"""A decoder layer as one compiled call; its two halves, for drafters that feed them apart."""

import numpy as np

from dspark_bench.models.kernels.compiler import compiled
from dspark_bench.models.kernels.elementwise import (
    add_rows,
    gate_rows,
    normalise,
    normalise_rows,
    rotate_pairs,
)
from dspark_bench.models.kernels.products import multiply
from dspark_bench.models.kernels.ragged_attention import attend_rows


@compiled
def attention_pass(
    inputs, qkv, norms, eps, out_weight, rotation, keys, values, slots, spans, parents, out
):
    """Normed inputs [T, in] -> out [T, D]; writes keys and values at `slots` [T] of the cache.

    qkv, out_weight: panels; norms [Hq + Hkv, hd]; rotation [T, 1, hd / 2] complex;
    keys, values [rows, max_len, Hkv, hd].
    """
    num_tokens, head_dim = inputs.shape[0], norms.shape[1]
    num_kv = keys.shape[2]
    num_heads = norms.shape[0] - num_kv
    size = num_heads * head_dim
    fused = np.empty((num_tokens, size + 2 * num_kv * head_dim), np.float32)
    multiply(inputs, qkv, fused)
    max_len = keys.shape[1]
    for token in range(num_tokens):
        row, place = slots[token] // max_len, slots[token] % max_len
        for head in range(num_heads + num_kv):
            vector = fused[token, head * head_dim : (head + 1) * head_dim]
            normalise(vector, norms[head], eps, vector)
            rotate_pairs(vector, rotation[token, 0])
        for head in range(num_kv):
            for i in range(head_dim):
                place_of_key = size + head * head_dim + i
                keys[row, place, head, i] = fused[token, place_of_key]
                values[row, place, head, i] = fused[token, place_of_key + num_kv * head_dim]
    attended = np.empty((num_tokens, size), np.float32)
    attend_rows(fused, keys, values, spans, parents, attended)
    multiply(attended, out_weight, out)


@compiled
def finish_pass(residual, attended, norm, eps, gate_up, down, out):
    """out [T, D] = x + down(silu(gate(n)) * up(n)) with x = residual + attended, n = norm(x)."""
    num_tokens, hidden = residual.shape
    inner = down.shape[1]
    summed = np.empty((num_tokens, hidden), np.float32)
    add_rows(residual, attended, summed)
    normed = np.empty((num_tokens, hidden), np.float32)
    normalise_rows(summed, norm, eps, normed)
    fused = np.empty((num_tokens, 2 * inner), np.float32)
    multiply(normed, gate_up, fused)
    gated = np.empty((num_tokens, inner), np.float32)
    gate_rows(fused, gated)
    multiply(gated, down, out)
    add_rows(out, summed, out)


@compiled
def layer_pass(
    x,
    input_norm,
    qkv,
    norms,
    eps,
    out_weight,
    post_norm,
    gate_up,
    down,
    rotation,
    keys,
    values,
    slots,
    spans,
    parents,
    out,
):
    """x [T, D] -> out [T, D]: the whole layer."""
    normed = np.empty(x.shape, np.float32)
    normalise_rows(x, input_norm, eps, normed)
    attended = np.empty(x.shape, np.float32)
    attention_pass(
        normed,
        qkv,
        norms,
        eps,
        out_weight,
        rotation,
        keys,
        values,
        slots,
        spans,
        parents,
        attended,
    )
    finish_pass(x, attended, post_norm, eps, gate_up, down, out)
