"""Finds out whether two timed points shared this machine at some moment.

Each timed run holds a lock on a file of its own in a common folder. A newcomer that meets a file
which is still locked marks it, so that both sides know that their timing is invalid.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = b"shared"


class TimingLock:
    """A held registration. `is_shared` turns true once another run has overlapped with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._met_another = False

    @property
    def is_shared(self) -> bool:
        """Whether another timed run has been on this machine since this one began."""
        return self._met_another or self._path.read_bytes() != b""

    def look_around(self) -> None:
        """Mark every other live registration, and remember having met one."""
        for other in self._path.parent.glob("*.lock"):
            if other != self._path and _mark_if_live(other):
                self._met_another = True


@contextmanager
def timing_lock(folder: Path | None = None) -> Iterator[TimingLock]:
    """Register a timed run for as long as the block lasts."""
    place = folder or Path(tempfile.gettempdir()) / f"dspark-bench-{os.getuid()}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".lock", dir=place)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        lock = TimingLock(Path(name))
        lock.look_around()
        yield lock
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(handle)


def _mark_if_live(path: Path) -> bool:
    """Mark a registration whose owner still holds it; remove one left by a killed process."""
    with suppress(FileNotFoundError), path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.write(_MARK)
            return True
        path.unlink(missing_ok=True)
    return False
