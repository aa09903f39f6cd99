"""What Hydra takes from the process instead of from a call: its arguments, how it fails, and what
its sweeper does unasked.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra._internal.core_plugins import basic_sweeper
from hydra.core.plugins import Plugins

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
def unvalidated_batches() -> Iterator[None]:
    """Hydra's sweeper composes every point before it launches the first, a tenth of a second each.

    Its caller has composed and checked them all; a launcher composes each once more as it runs.
    """
    Plugins.instance()  # its first look for plug-ins makes the sweeper's class anew
    sweeper, name = basic_sweeper.BasicSweeper, "validate_batch_is_legal"
    before = getattr(sweeper, name)
    setattr(sweeper, name, lambda sweeper, batch: None)
    try:
        yield
    finally:
        setattr(sweeper, name, before)


@contextmanager
def command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads its arguments from the process's own."""
    typed = sys.argv
    sys.argv = [typed[0], *arguments]
    try:
        yield
    finally:
        sys.argv = typed
