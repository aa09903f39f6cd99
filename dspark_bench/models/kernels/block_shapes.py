"""How many rows and panels of a product share one pass over what is summed.

A block of rows x panels keeps as many sums in registers. Tall blocks read each weight once for many
rows; few rows take several panels at once, so that no sum waits for its own last term.
"""

from collections.abc import Iterator
from typing import Final

from llvmlite import binding
from numba.core import config

_WIDTHS: Final = (1, 2, 3, 4)
_REGISTERS: Final = {True: 32, False: 16}
_PER_PANEL: Final = {True: 1, False: 2}
_SPARE: Final = {True: 6, False: 1}


def has_wide_registers() -> bool:
    """Whether code may use 32 registers of 512 bits (AVX-512), each as wide as a panel."""
    wanted: str | None = getattr(config, "CPU_FEATURES", None)
    if wanted is not None:  # in LLVM's manner: +fma,-avx512f
        return "+avx512f" in wanted.split(",")
    return bool(binding.get_host_cpu_features().get("avx512f"))


def most_rows(is_wide: bool) -> int:
    """The tallest block: of two panels with wide registers, else of one."""
    return 9 if is_wide else 6


def widest(num_rows: int, is_wide: bool) -> int:
    """The most panels of a block of `num_rows` rows: sums, weights and factors in registers."""
    room = (_REGISTERS[is_wide] - _SPARE[is_wide]) // _PER_PANEL[is_wide]
    return max(width for width in _WIDTHS if (num_rows + 1) * width <= room)


def shapes(is_wide: bool) -> Iterator[tuple[int, int]]:
    """Every (rows, panels), by rows, then panels."""
    for num_rows in range(1, most_rows(is_wide) + 1):
        for width in _WIDTHS:
            if width <= widest(num_rows, is_wide):
                yield num_rows, width


IS_WIDE: Final = has_wide_registers()
MOST_ROWS: Final = most_rows(IS_WIDE)
SHAPES: Final = tuple(shapes(IS_WIDE))
PANELS: Final = (0, *(widest(rows, IS_WIDE) for rows in range(1, MOST_ROWS + 1)))
"""By number of rows."""
FIRST: Final = (0, *(SHAPES.index((rows, 1)) for rows in range(1, MOST_ROWS + 1)))
"""Place in SHAPES of a number of rows with one panel; those with more follow."""
MOST_QUERIES: Final = 3 if IS_WIDE else 1
"""That share a key in a block of scores: 24 sums of 512 bits, or 8 of 256."""
LANES: Final = 16 if IS_WIDE else 8
"""Partial sums of a score: one register."""
