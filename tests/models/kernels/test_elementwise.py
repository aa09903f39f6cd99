"""What is done to each row, against numpy in double precision."""

import numpy as np

from dspark_bench.models.kernels.compiler import compiled
from dspark_bench.models.kernels.elementwise import (
    exponential,
    gate_rows,
    largest_of,
    normalise_rows,
    rotate_pairs,
)


@compiled
def exponentials(x, out):  # type: ignore[no-untyped-def]
    for i in range(x.shape[0]):
        out[i] = exponential(x[i])


def test_the_exponential_is_right_to_two_units_in_the_last_place() -> None:
    x = np.linspace(-87, 88, 100_001).astype(np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    wanted = np.exp(x.astype(np.float64))
    assert np.max(np.abs(out / wanted - 1)) < 2 * np.finfo(np.float32).eps


def test_the_exponential_beyond_its_range() -> None:
    x = np.array([-np.inf, -1e30, -87.5, 0, 200], np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    assert out[:3].tolist() == [0, 0, 0]
    assert out[3] == 1
    assert np.isfinite(out[4])


def test_a_norm_by_hand() -> None:
    x = np.array([[3, 4], [0, 0]], np.float32)
    out = np.empty_like(x)
    normalise_rows(x, np.array([2, 1], np.float32), np.float32(0.5), out)
    length = np.sqrt(12.5 + 0.5)
    assert np.allclose(out, [[6 / length, 4 / length], [0, 0]], rtol=1e-6)


def test_a_rotation_is_a_complex_product() -> None:
    x = np.array([1, 2, 3, 4], np.float32)
    rotate_pairs(x, np.array([1j, 0.6 + 0.8j], np.complex64))
    assert np.allclose(x, [-2, 1, 3 * 0.6 - 4 * 0.8, 3 * 0.8 + 4 * 0.6])


def test_a_gate_by_hand() -> None:
    fused = np.array([[0, 2, -100, 5, 3, 7]], np.float32)
    out = np.empty((1, 3), np.float32)
    gate_rows(fused, out, 0, 1)
    assert np.allclose(out, [[0, 6 / (1 + np.exp(-2.0)), 0]], atol=1e-6)


def test_the_largest_of_numbers_of_either_sign() -> None:
    generator = np.random.default_rng(0)
    for size in (1, 2, 15, 16, 33, 100):
        for shift in (-5.0, 0.0, 5.0):
            x = (generator.standard_normal(size) + shift).astype(np.float32)
            assert largest_of(x) == x.max()
    assert largest_of(np.array([-0.0, -1e-40, -np.inf], np.float32)) == 0
    assert largest_of(np.array([-3.0, np.inf], np.float32)) == np.inf
