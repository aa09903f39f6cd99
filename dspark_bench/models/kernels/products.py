"""Matrix products for the few rows that decoding is made of.

Weights are stored in panels of 16 output columns, each read once, front to back. So a product of
few rows takes as long as reading its weights; with many rows it is bound by arithmetic.
"""

import numpy as np

from dspark_bench.models.kernels.compiler import compiled
from dspark_bench.models.kernels.vector_code import (
    COLUMNS,
    FLOAT_BYTES,
    MOST_ROWS,
    product_block,
)

_block_1 = product_block(1)
_block_2 = product_block(2)
_block_3 = product_block(3)
_block_4 = product_block(4)
_block_5 = product_block(5)
_block_6 = product_block(6)


def pack_panels(weight: np.ndarray) -> np.ndarray:
    """weight [out, in] -> panels [ceil(out / 16), in, 16], zeros past the last column."""
    size, depth = weight.shape
    num_panels = -(-size // COLUMNS)
    panels = np.zeros((num_panels, depth, COLUMNS), np.float32)
    for panel in range(num_panels):
        columns = weight[panel * COLUMNS : (panel + 1) * COLUMNS]
        panels[panel, :, : columns.shape[0]] = columns.T
    return panels


@compiled
def multiply_rows(num_rows, x, x_step, w, w_step, depth, out, out_step, is_more):
    """`product_block` for any number of rows, six at a time."""
    row = 0
    while row + MOST_ROWS <= num_rows:
        _block_6(x, x_step, w, w_step, depth, out, out_step, is_more)
        row += MOST_ROWS
        x += MOST_ROWS * x_step
        out += MOST_ROWS * out_step
    left = num_rows - row
    if left == 1:
        _block_1(x, x_step, w, w_step, depth, out, out_step, is_more)
    elif left == 2:
        _block_2(x, x_step, w, w_step, depth, out, out_step, is_more)
    elif left == 3:
        _block_3(x, x_step, w, w_step, depth, out, out_step, is_more)
    elif left == 4:
        _block_4(x, x_step, w, w_step, depth, out, out_step, is_more)
    elif left == 5:
        _block_5(x, x_step, w, w_step, depth, out, out_step, is_more)


@compiled
def multiply(x, panels, out, part, num_parts):
    """x [T, in] times panels [P, in, 16] -> out [T, size], of which the last panel may be cut.

    Computes the columns of part `part` of `num_parts`.
    """
    num_rows, depth = x.shape
    size = out.shape[1]
    x_step, out_step = depth * FLOAT_BYTES, size * FLOAT_BYTES
    w_step = COLUMNS * FLOAT_BYTES
    whole = size // COLUMNS
    first, last = panels.shape[0] * part // num_parts, panels.shape[0] * (part + 1) // num_parts
    source, target = x.ctypes.data, out.ctypes.data
    weights = panels.ctypes.data
    for panel in range(first, min(last, whole)):
        multiply_rows(
            num_rows,
            source,
            x_step,
            weights + panel * depth * w_step,
            w_step,
            depth,
            target + panel * w_step,
            out_step,
            0,
        )
    if last > whole:
        cut = np.empty((num_rows, COLUMNS), np.float32)
        multiply_rows(
            num_rows,
            source,
            x_step,
            weights + whole * depth * w_step,
            w_step,
            depth,
            cut.ctypes.data,
            w_step,
            0,
        )
        for row in range(num_rows):
            for column in range(whole * COLUMNS, size):
                out[row, column] = cut[row, column - whole * COLUMNS]


@compiled
def product_pass(x, panels, out, gate, part, num_parts):
    """`multiply` as a call of its own, whose threads need not meet."""
    multiply(x, panels, out, part, num_parts)
