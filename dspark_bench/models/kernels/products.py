"""Matrix products for the few rows that decoding is made of.

Weights are stored in panels of 16 output columns, each read once, front to back. So a product of
few rows takes as long as reading its weights; with many rows it is bound by arithmetic.
"""

import numpy as np

from dspark_bench.models.kernels.block_shapes import FIRST, MOST_ROWS, PANELS, SHAPES
from dspark_bench.models.kernels.compiler import compiled
from dspark_bench.models.kernels.room import zeros
from dspark_bench.models.kernels.vector_code import (
    AHEAD_BYTES,
    COLUMNS,
    FLOAT_BYTES,
    PANEL_BYTES,
    product_blocks,
)

_block = product_blocks(SHAPES)


def pack_panels(weight: np.ndarray) -> np.ndarray:
    """weight [out, in] -> panels [ceil(out / 16), in, 16], zeros past the last column."""
    size, depth = weight.shape
    num_panels = -(-size // COLUMNS)
    panels = zeros((num_panels, depth, COLUMNS))
    for panel in range(num_panels):
        columns = weight[panel * COLUMNS : (panel + 1) * COLUMNS]
        panels[panel, :, : columns.shape[0]] = columns.T
    return panels


@compiled
def multiply_rows(
    num_rows, num_panels, x, x_step, w, w_step, panel_step, depth, out, out_step, is_more, ahead
):
    """`product_blocks` for any number of rows and panels, in blocks of nearly equal height.

    ahead: bytes; 0: as panels that lie one behind the other are read.
    """
    if num_rows == 0:
        return
    num_blocks = -(-num_rows // MOST_ROWS)
    num_groups = -(-num_panels // PANELS[-(-num_rows // num_blocks)])
    for group in range(num_groups):
        panel = num_panels * group // num_groups
        width = num_panels * (group + 1) // num_groups - panel
        for block in range(num_blocks):
            first, last = num_rows * block // num_blocks, num_rows * (block + 1) // num_blocks
            _block(
                FIRST[last - first] + width - 1,
                x + first * x_step,
                x_step,
                w + panel * panel_step,
                w_step,
                panel_step,
                depth,
                out + first * out_step + panel * PANEL_BYTES,
                out_step,
                is_more,
                AHEAD_BYTES if ahead == 0 else ahead,
                (width - 1) * panel_step if ahead == 0 else np.int64(0),
            )


@compiled
def multiply(x, panels, out, part, num_parts):
    """x [T, in] times panels [P, in, 16] -> out [T, size], of which the last panel may be cut.

    Computes the columns of part `part` of `num_parts`.
    """
    num_rows, depth = x.shape
    size = out.shape[1]
    x_step, out_step, panel_step = depth * FLOAT_BYTES, size * FLOAT_BYTES, depth * PANEL_BYTES
    whole = size // COLUMNS
    first, last = panels.shape[0] * part // num_parts, panels.shape[0] * (part + 1) // num_parts
    source, weights = x.ctypes.data, panels.ctypes.data
    multiply_rows(
        num_rows,
        min(last, whole) - first,
        source,
        x_step,
        weights + first * panel_step,
        PANEL_BYTES,
        panel_step,
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
            PANEL_BYTES,
            panel_step,
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
