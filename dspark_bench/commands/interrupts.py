"""Ctrl-C during a sweep: at once while measuring, after the file at hand while writing."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_MOST_HELD = 3


class Interrupts:
    """Turns SIGINT into KeyboardInterrupt, but not inside `held`; none is lost."""

    def __init__(self) -> None:
        self._num_held = 0
        self._num_seen = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT while the block lasts.

        Does nothing outside the main thread, or where SIGINT is ignored (a background job).
        """
        before = signal.getsignal(signal.SIGINT)
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or before == signal.SIG_IGN:
            yield
            return
        signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is written here is finished first. A third Ctrl-C breaks even this off."""
        self._num_held += 1
        try:
            yield
        finally:
            self._num_held -= 1
        self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if one came: held back, or swallowed by a callback of C code."""
        if self._num_seen and not self._num_held:
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self._num_seen += 1
        if not self._num_held or self._num_seen >= _MOST_HELD:
            raise KeyboardInterrupt
