"""Drafts of chains judged by one compiled call, as `core.sampling` defines it.

A pass leaves little of anything else in the processor's caches, so that each of some thirty small
operations in its wake costs several times what it costs alone.
"""

import numpy as np

from dspark_bench.models.kernels.compiler import compiled, one_at_a_time

_ZERO = np.float32(0)


@compiled
def judge_sampled(target, draft, tokens, lens, accept, emit, floor, found):
    """`core.sampling.reject_sampled`. target [N, V], draft [B, K, V], accept [B, K], emit [B].

    floor: `core.sampling.RESIDUAL_FLOOR`; found [B, 3]: accepted length, whether the next draft was
    refused, and the token that follows. Raises IndexError for a draft that is no token.
    """
    weights = np.empty(target.shape[1], np.float32)
    first = 0
    for request in range(lens.shape[0]):
        length, count = lens[request], 0
        while count < length:
            token = _checked(tokens[request, count], target.shape[1])
            share = accept[request, count] * np.float64(draft[request, count, token])
            if not share < np.float64(target[first + count, token]):
                break
            count += 1
        row = target[first + count]
        if count < length:
            law = draft[request, count]
            for token in range(weights.shape[0]):
                surplus = max(row[token] - law[token], _ZERO)
                weights[token] = surplus + floor * row[token]
            row = weights
        _conclude(found[request], count, length, row, emit[request])
        first += length + 1


@compiled
def judge_certain(target, tokens, lens, accept, emit, floor, found):
    """`core.sampling.reject_certain`; see `judge_sampled`."""
    weights = np.empty(target.shape[1], np.float32)
    first = 0
    for request in range(lens.shape[0]):
        length, count = lens[request], 0
        while count < length:
            token = _checked(tokens[request, count], target.shape[1])
            share = np.float64(target[first + count, token])
            if not accept[request, count] < share:
                break
            count += 1
        row = target[first + count]
        if count < length:
            for token in range(weights.shape[0]):
                weights[token] = row[token]
            weights[tokens[request, count]] *= floor
            row = weights
        _conclude(found[request], count, length, row, emit[request])
        first += length + 1


@compiled
def _conclude(found, count, length, weights, uniform):
    """A request's row of `found`: `count` of `length` drafts stood; the next token by `weights`."""
    found[0] = count
    found[1] = count < length
    found[2] = _draw(weights, uniform)


@compiled
def _checked(token, vocab_size):
    if not 0 <= token < vocab_size:
        raise IndexError("a draft is no token of the vocabulary")
    return token


@compiled
def _draw(weights, uniform):
    """`core.sampling.sample` of one row: the first token at which the sum is beyond its share."""
    total = 0.0
    for token in range(weights.shape[0]):
        total += np.float64(weights[token])
    threshold, reached = uniform * total, 0.0
    for token in range(weights.shape[0]):
        reached += np.float64(weights[token])
        if reached > threshold:
            return token
    return weights.shape[0]


def compile_verdicts() -> None:
    """Compile both by running them once. Raises what numba raises."""
    laws, certain = np.ones((2, 1), np.float32), np.zeros((1, 1), np.int64)
    lens, uniform, found = np.ones(1, np.int64), np.ones((1, 1)), np.empty((1, 3), np.int64)
    with one_at_a_time(judge_sampled):
        floor = np.float32(0)
        judge_sampled(laws, laws[:1, None], certain, lens, uniform, uniform[0], floor, found)
        judge_certain(laws, certain, lens, uniform, uniform[0], floor, found)
