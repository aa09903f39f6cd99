"""One run per results folder at a time: a second one is refused before it writes anything."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dspark_bench.core.errors import ResultsError


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold an existing folder as long as the block lasts; a killed run lets go of it by itself.

    Raises ResultsError if another run holds it. File systems that lock no folders (some network
    ones) let both in: points stay whole there too, because each appears by one rename.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResultsError(
                f"another run is writing to {folder}; valid: wait for its end, or another name="
            ) from error
        except OSError:
            pass
        yield
    finally:
        os.close(handle)
