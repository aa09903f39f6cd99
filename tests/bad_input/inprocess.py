"""Runs a case in this process, through the function that the command itself calls."""

import contextlib
import io
import signal
from collections.abc import Iterator
from pathlib import Path

from dspark_bench import cli
from tests.bad_input.case import TIMEOUT_S, Case, Outcome, changed, open_box


class _Hang(BaseException):
    """Not an Exception, so that nothing under test catches it."""


def run_here(case: Case, stock: Path, box: Path) -> Outcome:
    """Run a case in `box`, a folder that does not exist yet. Changes and restores the working
    folder and the alarm signal.
    """
    before = open_box(stock, box, case)
    out, err = io.StringIO(), io.StringIO()
    code, is_hang = -1, False
    with contextlib.chdir(box), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with _limit(TIMEOUT_S):
                code = cli.execute(list(case.arguments))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except _Hang:
            is_hang = True
    return Outcome(code, out.getvalue(), err.getvalue(), changed(before, box, case), is_hang)


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
