"""`python -m dspark_bench`, and the command `dspark-bench`."""

import signal
import sys


def main() -> None:
    """Run the command line, Ctrl-C understood from the first import to the last line."""
    try:
        from dspark_bench.cli import execute

        code = execute(sys.argv[1:])
    except KeyboardInterrupt:  # while loading, or a second one while the first was reported
        code = 130
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said and done
    sys.exit(code)


if __name__ == "__main__":
    main()
