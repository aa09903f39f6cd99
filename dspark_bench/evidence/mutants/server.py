"""Runs tests in copies of one process that has imported what nearly all of them need.

Started as a script, so that nothing of this package is imported before a copy of the tree is at the
head of the path. Reads one JSON request per line, `{"tree", "files", "limit_s"}`, and answers each
with a line `{"exit_code", "output"}`; exit code None: no end within the limit.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback

CANNOT_RUN = 70
"""Exit code of a copy in which pytest itself broke."""
OPTIONS = (
    *("-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"),
    # plug-ins of pytest are among what has been imported; their own asserts are not rewritten then
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


def run_tests(tree: str, files: list[str], limit_s: float) -> dict[str, object]:
    """Run these test files of a tree in a process of their own, up to the first failure."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        child = os.fork()
        if child == 0:
            _become_pytest(tree, files, output.fileno())
        exit_code = _wait(child, limit_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        output.seek(0)
        return {"exit_code": exit_code, "output": output.read()[-20_000:]}


def _become_pytest(tree: str, files: list[str], output: int) -> None:
    """Never returns."""
    code = CANNOT_RUN
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(tree)
        sys.path.insert(0, tree)
        import pytest

        code = int(pytest.main([*OPTIONS, *files]))
    except BaseException:  # told as output, since nothing above may go on in this copy
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, limit_s: float) -> int | None:
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def main() -> None:
    """Answer until the input ends. Arguments: the modules to import first."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        answer = run_tests(request["tree"], request["files"], request["limit_s"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this script
    main()
