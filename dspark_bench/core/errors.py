"""The one exception tree, and the exit code each branch ends the program with.

Every message says what was wrong, the value, and what is valid. `cli` prints it as one line.
"""


class BenchError(Exception):
    """Root of all errors that this package raises on purpose."""

    exit_code = 70


class UsageError(BenchError):
    """A wrong option, configuration or file: the user can mend it."""

    exit_code = 2


class CheckpointError(UsageError):
    """A model directory that cannot be read, or does not fit the model it is used with."""


class WorkloadError(UsageError):
    """A prompt file that cannot be read or holds a prompt that cannot be served."""


class ResultsError(UsageError):
    """A results folder that cannot be read or written."""


class RegressionError(BenchError):
    """A check found a real loss."""

    exit_code = 1


class InconclusiveError(BenchError):
    """Too little data to decide."""

    exit_code = 3


class PointsFailedError(BenchError):
    """A sweep ended, but some of its points failed."""

    exit_code = 4


class TimeLimitError(PointsFailedError):
    """A point took longer than it was allowed to."""


class Stopped(BaseException):
    """SIGTERM or SIGHUP: a batch system's limit, or a terminal that was closed.

    What Ctrl-C is to a KeyboardInterrupt; exit_code is 128 + the signal's number, as of a shell.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


EXIT_INTERRUPTED = 130
EXIT_INTERNAL = 70

_LONGEST_LINE = 4000


def error_line(message: str) -> str:
    """`error: MESSAGE` as one printable line, whatever a file or an override put into the message.

    Line ends become spaces, other characters that a terminal would obey are escaped, and what is
    longer than a screen is cut, which the line says.
    """
    text = " ".join(message.split("\n")).replace("\r", " ").replace("\t", " ")
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(shown) > _LONGEST_LINE:
        shown = f"{shown[:_LONGEST_LINE]} ... ({len(shown)} characters)"
    return f"error: {shown}"
