"""Scores come in blocks of eight keys: a block is taken only where all of its keys may be read."""

import numpy as np
import pytest

from dspark_bench.models.kernels.ragged_attention import _score, _softmax
from dspark_bench.models.kernels.vector_code import KEYS

HEAD_DIM = 32
UNWRITTEN = np.float32(7e7)


@pytest.mark.parametrize("num_queries", [1, 3, 4, 9])
def test_no_key_is_read_behind_the_last(num_queries: int) -> None:
    """Of a full cache row nothing lies behind the last key but the next row, or no memory."""
    generator = np.random.default_rng(0)
    queries = generator.standard_normal((num_queries, HEAD_DIM)).astype(np.float32)
    keys = generator.standard_normal((3 * KEYS, HEAD_DIM)).astype(np.float32)
    for most in range(1, 2 * KEYS + 2):
        for count in {1, most - 1, most} - {0}:
            weights = np.full((num_queries, 3 * KEYS), UNWRITTEN)
            place, step = keys.ctypes.data, keys.strides[0]
            _score(queries, num_queries, place, step, count, most, weights, 0, 0)
            wanted = queries @ keys.T
            assert np.allclose(weights[:, :count], wanted[:, :count], atol=1e-4)
            assert (weights[:, most:] == UNWRITTEN).all()


def test_the_second_part_of_a_row_leaves_the_first_alone() -> None:
    """A tree's path is scored behind its context."""
    queries = np.ones((2, HEAD_DIM), np.float32)
    keys = np.ones((5, HEAD_DIM), np.float32)
    weights = np.full((2, 3 * KEYS), UNWRITTEN)
    _score(queries, 2, keys.ctypes.data, keys.strides[0], 5, 5, weights, 3, 0)
    assert (weights[:, 3:8] == HEAD_DIM).all()
    assert (weights[:, :3] == UNWRITTEN).all() and (weights[:, 8:] == UNWRITTEN).all()


@pytest.mark.parametrize("count", [1, 3, 16, 17, 31, 100])
def test_weights_are_those_of_a_softmax(count: int) -> None:
    """Whatever lies behind the last score: it is neither counted nor the largest."""
    scores = np.random.default_rng(count).standard_normal(count).astype(np.float32) * 9
    row = np.full(128, 1e9, np.float32)
    row[:count] = scores
    total = _softmax(row, count, np.float32(0.25))
    wanted = np.exp((scores.astype(np.float64) - scores.max()) / 4)
    assert np.allclose(row[:count], wanted, rtol=1e-5, atol=0)
    assert np.isclose(total, wanted.sum(), rtol=1e-5)
    assert (row[128 - 16 :] == 1e9).all()
