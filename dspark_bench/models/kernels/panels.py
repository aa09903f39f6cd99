"""Weights as products read them: panels of 16 columns, each read once, front to back.

A number takes 32 bits, or 16 where that loses nothing: bf16 is fp32 without the lower half, and
most checkpoints are stored so. Products compute in fp32 either way, so their bits are the same; a
pass over half the bytes takes half the time where memory is what it waits for.
"""

import numpy as np

from dspark_bench.models.kernels.room import zeros

COLUMNS = 16
"""Of a panel: one 512-bit register, or two of 256 bits."""
WIDE_BYTES = 4 * COLUMNS
"""Of a row of a panel in fp32; in 16 bits half of it."""

_LOWER = np.uint32(0xFFFF)
_ROWS = 4096


def pack_panels(weight: np.ndarray) -> np.ndarray:
    """weight [out, in] -> panels [ceil(out / 16), in, 64 or 32] of bytes; 0 past the last column.

    32 where every number of `weight` is one of bf16.
    """
    size, depth = weight.shape
    words = np.ascontiguousarray(weight, np.float32).view(np.uint32)
    is_narrow = all(not (words[row : row + _ROWS] & _LOWER).any() for row in range(0, size, _ROWS))
    kind = np.uint16 if is_narrow else np.uint32
    panels = zeros((-(-size // COLUMNS), depth, COLUMNS), kind)
    for panel in range(panels.shape[0]):
        columns = words[panel * COLUMNS : (panel + 1) * COLUMNS]
        panels[panel, :, : columns.shape[0]] = (columns >> 16 if is_narrow else columns).T
    return panels.view(np.uint8)


def is_narrow(panels: np.ndarray) -> bool:
    """Whether a number of these panels takes 16 bits."""
    return bool(panels.shape[-1] < WIDE_BYTES)


def widened(panels: np.ndarray) -> np.ndarray:
    """The same numbers in 32 bits; panels [..., in, 32 or 64] of bytes."""
    if not is_narrow(panels):
        return panels
    wide = zeros((*panels.shape[:-1], COLUMNS), np.uint32)
    wide[...] = panels.view(np.uint16)
    wide <<= 16
    return wide.view(np.uint8)


def numbers(panels: np.ndarray) -> np.ndarray:
    """Panels as fp32, [..., in, 16]."""
    return widened(panels).view(np.float32)
