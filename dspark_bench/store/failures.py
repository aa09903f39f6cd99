"""What a failure is called: one line, whatever raised it."""

import torch

from dspark_bench.core.errors import BenchError

OUT_OF_MEMORY = "out of memory"
_NO_SUCH_ROW = "index out of range in self"
"""What torch's embedding says of a token that the vocabulary does not have."""
_ALLOCATION = ("can't allocate memory", "not enough memory", "out of memory")


def reason_of(error: BaseException) -> str:
    """One line that names what went wrong, never empty."""
    if is_out_of_memory(error):
        detail = _first_line(error)
        return f"{OUT_OF_MEMORY}: {detail}" if detail else OUT_OF_MEMORY
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}"
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, IndexError) and _NO_SUCH_ROW in str(error):
        return "a token outside of the vocabulary was drawn; do the weights overflow to NaN?"
    line = _first_line(error)
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, or torch on any device, was refused memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(mark in text for mark in _ALLOCATION)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else ""
