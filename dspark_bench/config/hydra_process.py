"""What Hydra takes from the process instead of from a call: its arguments and how it fails."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_RAISE = "HYDRA_FULL_ERROR"


@contextmanager
def raised_errors() -> Iterator[None]:
    """Hydra raises what goes wrong, instead of printing it and leaving."""
    before = os.environ.get(_RAISE)
    os.environ[_RAISE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_RAISE]
        else:
            os.environ[_RAISE] = before


@contextmanager
def command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads its arguments from the process's own."""
    typed = sys.argv
    sys.argv = [typed[0], *arguments]
    try:
        yield
    finally:
        sys.argv = typed
