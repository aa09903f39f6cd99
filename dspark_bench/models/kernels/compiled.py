"""The compiled kernels as one value. Importing this module imports numba and compiles them."""

import numpy as np

from dspark_bench.models.kernels.elementwise import normalise_rows
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kernels.layer import attention_pass, finish_pass, layer_pass
from dspark_bench.models.kernels.products import multiply, pack_panels


def compile_kernels() -> Kernels:
    """Compile everything by running it once, on the smallest layer there is.

    Seconds the first time on a machine, then a fraction of one: the code is kept. No measurement
    pays for it. Raises what numba raises.
    """
    eps, size = np.float32(1e-6), 16
    x, norm, heads = np.ones((1, size), np.float32), np.ones(size, np.float32), (2, size)
    qkv, square = pack_panels(np.ones((3 * size, size), np.float32)), pack_panels(np.eye(size))
    gate_up, norms = pack_panels(np.ones((2 * size, size))), np.ones(heads, np.float32)
    rotation = np.ones((1, 1, size // 2), np.complex64)
    keys, values = np.zeros((2, 1, 8, 1, size), np.float32)
    slots, spans = np.zeros(1, np.int64), np.array([[0, 0, 0, 1, -1, 0]])
    cached = (rotation, keys, values, slots, spans, np.empty(0, np.int64))
    multiply(x, square, x.copy())
    normalise_rows(x, norm, eps, x.copy())
    attention_pass(x, qkv, norms, eps, square, *cached, x.copy())
    finish_pass(x, x, norm, eps, gate_up, square, x.copy())
    layer_pass(x, norm, qkv, norms, eps, square, norm, gate_up, square, *cached, x.copy())
    return Kernels(pack_panels, multiply, normalise_rows, attention_pass, finish_pass, layer_pass)
