"""What judging large trees takes of a device's memory, known before anything is loaded.

Every verified node has a row over the vocabulary. Where tokens are drawn, such a row is there as a
logit and a probability (fp32 each) and in the running sum that is drawn from (float64); greedy, as
a logit alone. Growing a tree takes less: its rows are gone when the target's come.
"""

from typing import Final

import psutil
import torch

from dspark_bench.core.errors import UsageError

GREEDY_BYTES: Final = 4
DRAWN_BYTES: Final = 4 + 4 + 8
_GIB: Final = 2**30


def rows_bytes(nodes: int, num_requests: int, vocab_size: int, is_greedy: bool) -> int:
    """Bytes of the rows of one cycle: the nodes' and the anchor's of every request."""
    bytes_each = GREEDY_BYTES if is_greedy else DRAWN_BYTES
    return num_requests * (nodes + 1) * vocab_size * bytes_each


def device_bytes(device: torch.device) -> int:
    """Memory that the device has, in use or not."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)


def check_rows(
    nodes: int, num_requests: int, vocab_size: int, is_greedy: bool, memory_bytes: int
) -> None:
    """Raise UsageError where the rows of one cycle alone exceed `memory_bytes`."""
    needed = rows_bytes(nodes, num_requests, vocab_size, is_greedy)
    if needed <= memory_bytes:
        return
    most = memory_bytes // rows_bytes(0, num_requests, vocab_size, is_greedy) - 1
    fewer = f"up to {most} nodes, or fewer requests at once" if most > 0 else "fewer requests"
    raise UsageError(
        f"trees of {nodes} nodes, requests at once {num_requests}, a vocabulary of {vocab_size}: "
        f"judging them takes {needed / _GIB:.1f} GiB, and this device has "
        f"{memory_bytes / _GIB:.1f} GiB; valid: {fewer}"
    )
