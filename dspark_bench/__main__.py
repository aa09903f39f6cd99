"""`python -m dspark_bench`, and the command `dspark-bench`."""

import signal
import sys
from types import FrameType

from dspark_bench.core.errors import EXIT_INTERRUPTED, Stopped

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Run the command line, Ctrl-C, SIGTERM and SIGHUP understood from the first import to the
    last line. A signal that was ignored at start (`nohup`) stays ignored.
    """
    for signum in _SIGNALS:
        if signal.getsignal(signum) == signal.SIG_DFL:
            signal.signal(signum, _stop)
    try:
        from dspark_bench.cli import execute

        code = execute(sys.argv[1:])
    except KeyboardInterrupt:  # while loading, or a second one while the first was reported
        code = EXIT_INTERRUPTED
    except Stopped as stopped:
        code = stopped.exit_code
    for signum in (signal.SIGINT, *_SIGNALS):  # all is said and done
        signal.signal(signum, signal.SIG_IGN)
    sys.exit(code)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise Stopped(signum)


if __name__ == "__main__":
    main()
