"""Output that nobody reads any more must not end a measurement.

A closed pipe (`| head -1`) or a closed terminal: what is printed from then on goes nowhere, and the
command ends as it would have. A full disk (`> file`): printing stops, the command goes on, and its
end tells what was lost.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

_UNREAD = (errno.EPIPE, errno.EIO, errno.ECONNRESET, errno.ESHUTDOWN)


class PatientStream:
    """A text stream that never raises when it is written to; it passes on what else it is asked.

    failure: why output was lost, None if it was not or if only nobody reads it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.failure: OSError | None = None
        self._stream = stream
        self._is_silent = False

    def write(self, text: str) -> int:
        """Write, or pretend to."""
        if not self._is_silent:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._fall_silent(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write every line, or pretend to."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, unless there is nowhere to flush to."""
        if not self._is_silent:
            try:
                self._stream.flush()
            except OSError as error:
                self._fall_silent(error)

    def _fall_silent(self, error: OSError) -> None:
        """What the stream still holds would fail again at exit: it goes to the null device."""
        self._is_silent = True
        if error.errno not in _UNREAD:
            self.failure = error
        with suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def patient_output() -> Iterator[PatientStream]:
    """Standard output and error as patient streams; gives the one for output."""
    before = sys.stdout, sys.stderr
    out, err = PatientStream(before[0]), PatientStream(before[1])
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
