"""Ctrl-C, SIGTERM and SIGHUP during a sweep: at once while measuring, after the file at hand while
writing.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dspark_bench.core.errors import Stopped

_MOST_HELD = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns SIGINT into KeyboardInterrupt, SIGTERM and SIGHUP into Stopped, but not inside `held`;
    none is lost.
    """

    def __init__(self) -> None:
        self._num_held = 0
        self._num_seen = 0
        self._signum: int = signal.SIGINT

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals while the block lasts.

        Does nothing outside the main thread. A signal that is ignored stays so: SIGINT in a
        background job, SIGHUP under `nohup`.
        """
        is_main = threading.current_thread() is threading.main_thread()
        before = {s: signal.getsignal(s) for s in _SIGNALS} if is_main else {}
        heard = {s: old for s, old in before.items() if old not in (signal.SIG_IGN, None)}
        for signum in heard:
            signal.signal(signum, self._handle)
        try:
            yield
        finally:
            for signum, old in heard.items():
                signal.signal(signum, old)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is written here is finished first. A third signal breaks even this off."""
        self._num_held += 1
        try:
            yield
        finally:
            self._num_held -= 1
        self.check()

    def check(self) -> None:
        """Raise what a signal raises if one came: held back, or swallowed by a callback of C."""
        if self._num_seen and not self._num_held:
            raise self._raised()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self._num_seen += 1
        self._signum = signum
        if not self._num_held or self._num_seen >= _MOST_HELD:
            raise self._raised()

    def _raised(self) -> BaseException:
        return KeyboardInterrupt() if self._signum == signal.SIGINT else Stopped(self._signum)
