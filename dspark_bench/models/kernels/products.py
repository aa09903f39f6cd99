"""Matrix products for the few rows that decoding is made of.

Weights lie in panels (`panels.py`). So a product of few rows takes as long as reading its weights;
with many rows it is bound by arithmetic.
"""

import numpy as np

from dspark_bench.models.kernels.block_shapes import FIRST, MOST_ROWS, PANELS, SHAPES
from dspark_bench.models.kernels.compiler import compiled, shared
from dspark_bench.models.kernels.panels import COLUMNS, WIDE_BYTES
from dspark_bench.models.kernels.vector_code import (
    AHEAD_BYTES,
    FLOAT_BYTES,
    PANEL_BYTES,
    product_blocks,
)

_block = product_blocks(SHAPES)
_NUM_SHAPES = len(SHAPES)


@shared
def multiply_rows(
    num_rows,
    num_panels,
    x,
    x_step,
    w,
    w_step,
    panel_step,
    is_narrow,
    depth,
    out,
    out_step,
    is_more,
    ahead,
):
    """`product_blocks` for any number of rows and panels, in blocks of nearly equal height.

    is_narrow: 1 where a weight takes 16 bits; ahead: bytes; 0: as panels that lie one behind the
    other are read.
    """
    if num_rows == 0:
        return
    num_blocks = -(-num_rows // MOST_ROWS)
    tallest = -(-num_rows // num_blocks)
    num_groups = -(-num_panels // PANELS[tallest])
    for group in range(num_groups):
        panel = num_panels * group // num_groups
        width = num_panels * (group + 1) // num_groups - panel
        asked = AHEAD_BYTES // width if ahead == 0 else ahead
        beyond = (width - 1) * panel_step if ahead == 0 else np.int64(0)
        source, target = w + panel * panel_step, out + panel * PANEL_BYTES
        for block in range(num_blocks):
            first, last = num_rows * block // num_blocks, num_rows * (block + 1) // num_blocks
            shape = FIRST[last - first] + width - 1 + _NUM_SHAPES * is_narrow
            own, result = x + first * x_step, target + first * out_step
            _block(
                *(shape, own, x_step, source, w_step, panel_step, depth),
                *(result, out_step, is_more, asked, beyond),
            )


@compiled
def multiply(x, panels, out, part, num_parts):
    """x [T, in] times panels [P, in, bytes] -> out [T, size], of which the last panel may be cut.

    Computes the columns of part `part` of `num_parts`.
    """
    num_rows, depth = x.shape
    size, row_bytes = out.shape[1], panels.shape[2]
    is_narrow = np.int64(row_bytes < WIDE_BYTES)
    x_step, out_step, panel_step = depth * FLOAT_BYTES, size * FLOAT_BYTES, depth * row_bytes
    whole = size // COLUMNS
    first, last = panels.shape[0] * part // num_parts, panels.shape[0] * (part + 1) // num_parts
    source, weights = x.ctypes.data, panels.ctypes.data
    multiply_rows(
        num_rows,
        min(last, whole) - first,
        source,
        x_step,
        weights + first * panel_step,
        row_bytes,
        panel_step,
        is_narrow,
        depth,
        out.ctypes.data + first * PANEL_BYTES,
        out_step,
        np.int64(0),
        np.int64(0),
    )
    if last > whole:
        cut = np.empty((num_rows, COLUMNS), np.float32)
        multiply_rows(
            num_rows,
            np.int64(1),
            source,
            x_step,
            weights + whole * panel_step,
            row_bytes,
            panel_step,
            is_narrow,
            depth,
            np.int64(cut.ctypes.data),
            np.int64(PANEL_BYTES),
            np.int64(0),
            np.int64(0),
        )
        for row in range(num_rows):
            for column in range(whole * COLUMNS, size):
                out[row, column] = cut[row, column - whole * COLUMNS]


@compiled
def product_pass(x, panels, out, gate, part, num_parts):
    """`multiply` as a call of its own, whose threads need not meet."""
    multiply(x, panels, out, part, num_parts)
