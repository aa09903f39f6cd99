"""How a process is set up that trains.

A training step makes and drops tables of a hundred megabytes. The C library gives such pieces back
to the system at once, and the system clears every page that it hands out again: on a virtual
machine a third of a step. glibc's `mallopt(3)` turns that off. Gradients of a trained model's many
unlikely tokens are numbers below 1e-38, with which processors are slow; they are taken for 0.
"""

import ctypes

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1


def prepare_process(threads: int) -> None:
    """Set up this process, for the rest of its life, to train on so many threads."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed, for the rest of this process; whether it agreed.

    Where it is not glibc, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all(mallopt(option, _NEVER) == 1 for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
