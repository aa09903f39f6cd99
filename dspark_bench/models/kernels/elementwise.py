"""What is done to each row between two products."""

import numpy as np

from dspark_bench.models.kernels.compiler import compiled, compiled_sum, inlined
from dspark_bench.models.kernels.vector_code import bits_of_float, float_of_bits

_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_LEAST = np.float32(-87.0)
_MOST = np.float32(88.0)
_ONE = np.float32(1)
_SIGN, _OTHERS = np.int32(31), np.int32(0x7FFFFFFF)
_HALF = np.float32(0.5)
_C1 = np.float32(1.9875691500e-4)
_C2 = np.float32(1.3981999507e-3)
_C3 = np.float32(8.3334519073e-3)
_C4 = np.float32(4.1665795894e-2)
_C5 = np.float32(1.6666665459e-1)
_C6 = np.float32(5.0000001201e-1)


@inlined
def exponential(x):
    """e^x in fp32, as a polynomial that a loop over rows turns into vector instructions.

    x = n ln 2 + r with |r| <= ln 2 / 2 (Cody and Waite); e^r by Cephes' polynomial of degree 7.
    Below -87 it is 0, above 88 it is e^88.
    """
    bounded = min(max(x, _LEAST), _MOST)
    whole = np.floor(bounded * _LOG2_E + _HALF)
    rest = bounded - whole * _LN2_HIGH
    rest = rest - whole * _LN2_LOW
    value = _C1
    value = value * rest + _C2
    value = value * rest + _C3
    value = value * rest + _C4
    value = value * rest + _C5
    value = value * rest + _C6
    value = value * rest * rest + rest + _ONE
    power = float_of_bits((np.int32(whole) + np.int32(127)) << np.int32(23))
    return value * power if x >= _LEAST else np.float32(0)


@compiled
def largest_of(x):
    """Of x [N], N at least 1. Bits of floats, but for the sign, rise as their numbers do, and whole
    numbers are compared in vector order.
    """
    largest = _rank(x[0])
    for i in range(1, x.shape[0]):
        largest = max(largest, _rank(x[i]))
    return float_of_bits(largest ^ ((largest >> _SIGN) & _OTHERS))


@inlined
def _rank(value):
    bits = bits_of_float(value)
    return bits ^ ((bits >> _SIGN) & _OTHERS)


@compiled_sum
def _squares(x):
    total = np.float32(0)
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    return total


@compiled
def normalise(x, weight, eps, out):
    """out [N] = x / sqrt(mean(x^2) + eps) * weight."""
    size = x.shape[0]
    factor = _ONE / np.sqrt(_squares(x) / np.float32(size) + eps)
    for i in range(size):
        out[i] = x[i] * factor * weight[i]


@compiled
def normalise_rows(x, weight, eps, out):
    """`normalise` for each row of x [T, N]."""
    for row in range(x.shape[0]):
        normalise(x[row], weight, eps, out[row])


@compiled
def rotate_pairs(x, rotation):
    """Multiply neighbouring pairs of x [N], as complex numbers, by rotation [N / 2]; in place."""
    for pair in range(rotation.shape[0]):
        cosine, sine = rotation[pair].real, rotation[pair].imag
        first, second = x[2 * pair], x[2 * pair + 1]
        x[2 * pair] = first * cosine - second * sine
        x[2 * pair + 1] = first * sine + second * cosine


@compiled
def add_rows(one, two, out):
    """out [T, N] = one + two."""
    for row in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[row, i] = one[row, i] + two[row, i]


@compiled
def add_to(bias, out):
    """out [N] += bias [N], or of an empty bias nothing; in place."""
    for i in range(bias.shape[0]):
        out[i] += bias[i]


@compiled
def gate_rows(fused, out, part, num_parts):
    """out [T, N] = silu(gate) * up, with fused [T, 2 N] = [gate, up]; one part of the rows."""
    size = out.shape[1]
    for row in range(part, out.shape[0], num_parts):
        gate, up, target = fused[row, :size], fused[row, size:], out[row]
        for i in range(size):
            target[i] = gate[i] / (_ONE + exponential(-gate[i])) * up[i]
