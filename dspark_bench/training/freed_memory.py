"""Memory that a step frees is kept for the next one.

A training step makes and drops tables of a hundred megabytes. The C library gives such pieces back
to the system at once, and the system clears every page that it hands out again: on a virtual
machine a third of a step. glibc's `mallopt(3)` turns that off.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed, for the rest of this process; whether it agreed.

    Where it is not glibc, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all(mallopt(option, _NEVER) == 1 for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
