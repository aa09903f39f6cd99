"""The compiled kernels as one value. Importing this module imports numba and compiles them."""

import numpy as np

from dspark_bench.models.kernels.compiler import one_at_a_time
from dspark_bench.models.kernels.elementwise import normalise_rows
from dspark_bench.models.kernels.gate import GATE_SIZE
from dspark_bench.models.kernels.interface import NO_WINDOW, Kernels
from dspark_bench.models.kernels.layer import attention_pass, finish_pass, stack_pass, store_context
from dspark_bench.models.kernels.panels import pack_panels
from dspark_bench.models.kernels.products import product_pass
from dspark_bench.models.kernels.team import Team


def compile_kernels() -> Kernels:
    """Compile everything by running it once, on the smallest layer there is.

    Seconds the first time on a machine, then a fraction of one: the code is kept. No measurement
    pays for it. Of processes that start together one compiles. Raises what numba raises.
    """
    with one_at_a_time(stack_pass):
        return _compiled()


def _compiled() -> Kernels:
    eps, size = np.float32(1e-6), 16
    x, norm, heads = np.ones((1, size), np.float32), np.ones(size, np.float32), (2, size)
    qkv, square = pack_panels(np.ones((3 * size, size), np.float32)), pack_panels(np.eye(size))
    gate_up, norms = pack_panels(np.ones((2 * size, size))), np.ones(heads, np.float32)
    rotation = np.ones((1, 1, size // 2), np.complex64)
    keys, values = np.zeros((2, 1, 8, 1, size), np.float32)
    slots, spans = np.zeros(1, np.int64), np.array([[0, 0, 0, 1, -1, -1, 0]])
    scene = (rotation, keys, values, slots, spans, np.empty(0, np.int64))
    without, window = np.empty(0, np.float32), np.array([NO_WINDOW])
    attention = (qkv, square, norms, without, without, window)
    finish = (norm, gate_up, square)
    wide, wider = np.empty((1, 2 * size), np.float32), np.empty((1, 3 * size), np.float32)
    rooms, alone = ((wider, x.copy()), (wide, x.copy())), (np.zeros(GATE_SIZE, np.int64), 0, 1)
    out = x.copy()
    product_pass(x, square, out, *alone)
    normalise_rows(x, norm, eps, out)
    attention_pass(x, attention, eps, scene, rooms[0], out, *alone)
    finish_pass(x, x, finish, eps, rooms[1], out, *alone)
    stack = (norm[None], _stacked(attention), _stacked(finish))
    whole = (rotation, keys[None], values[None], slots, spans, scene[-1])
    room, taps = (x.copy(), x.copy(), *rooms), np.zeros(1, np.int64)
    stack_pass(x, stack, eps, whole, room, taps, out[None].copy(), out, *alone)
    store_context(wide, norms, eps, rotation, slots, *whole[1:3])
    return Kernels(
        pack_panels,
        product_pass,
        normalise_rows,
        attention_pass,
        finish_pass,
        stack_pass,
        store_context,
        Team(),
    )


def _stacked(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return tuple(array[None] for array in arrays)
