"""Starts a sweep as a fork of the test process: a real process to kill, without its imports."""

import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dspark_bench import cli
from dspark_bench.core.errors import EXIT_INTERNAL, EXIT_INTERRUPTED
from dspark_bench.evidence.faults.sweeps import Setting


@dataclass
class Forked:
    """A child that this process waits for."""

    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        end_s = time.monotonic() + (timeout or 600)
        while (code := self.poll()) is None:
            assert time.monotonic() < end_s, "the sweep hangs"
            time.sleep(0.02)
        return code


def start_fork(arguments: Sequence[str], output: Path, setting: Setting) -> Forked:
    """`dspark-bench` with arguments; from here on as in `dspark_bench.__main__`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch runs on one thread here
        pid = os.fork()
    if pid == 0:
        code = EXIT_INTERNAL
        try:
            code = _run(arguments, output, setting)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        finally:
            os._exit(code)
    return Forked(pid)


def _run(arguments: Sequence[str], output: Path, setting: Setting) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("w", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        if setting.before is not None:
            setting.before()
        try:
            return cli.execute(arguments)
        finally:
            file.flush()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
