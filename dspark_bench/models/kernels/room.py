"""Room for what a pass reads much of: weights, keys and values."""

from math import prod

import numpy as np
import numpy.typing as npt

LINE_BYTES = 64
"""Of a cache line, which is as wide as the widest register."""


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> np.ndarray:
    """An array of zeros that begins where a cache line begins, in huge pages if it is large.

    numpy alone begins large arrays 16 bytes into a page, and every load of 64 bytes then touches
    two lines. It does ask for huge pages: of small ones nearly every place of a cache that a pass
    reads would cost a walk through the page tables.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    plain = np.zeros(size + LINE_BYTES, np.uint8)
    start = -plain.ctypes.data % LINE_BYTES
    return plain[start : start + size].view(dtype).reshape(shape)
