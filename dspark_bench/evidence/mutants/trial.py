"""One planted edit against the tests: those of its room first, then the rest of the fast suite."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dspark_bench.evidence.mutants.edits import Edit

LIMIT_S: Final = 1800.0
"""Seconds after which tests that do not come to an end have noticed something."""
SKIPPED: Final = "tests/evidence/mutants"
"""Tests of the list itself, which fail on every edit that it holds."""

USUAL: Final = tuple(
    "torch transformers pandas pyarrow.parquet matplotlib.figure hydra scipy.stats".split()
)
"""What most tests import, and what takes longest."""

Verdict = Literal["room", "rest", "survived", "moved"]
"""Noticed by the tests of its room, or by others; not at all; or its text is no longer there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an edit. test: the first that failed, empty if none did."""

    verdict: Verdict
    test: str
    seconds: float


class SuiteRunner:
    """Runs test files of one tree, each time in a process of their own (`server`)."""

    def __init__(self, tree: Path, imported: Sequence[str] = USUAL) -> None:
        """imported: modules that need not be imported again for every run."""
        self.tree = tree
        environment = os.environ | {"PYTHONPATH": str(tree), "OMP_WAIT_POLICY": "PASSIVE"}
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py")), *imported],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def first_failure(self, files: Sequence[str], limit_s: float = LIMIT_S) -> str | None:
        """Name of the first test that fails; None if all pass. Raises RuntimeError if pytest did
        not get to running tests.
        """
        assert self._server.stdin is not None and self._server.stdout is not None
        request = {"tree": str(self.tree), "files": list(files), "limit_s": limit_s}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError("the process that runs the tests has ended")
        answer = json.loads(line)
        if answer["exit_code"] is None:
            return f"no end within {limit_s:.0f} s"
        return read_output(answer["output"], answer["exit_code"])

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


def try_edit(edit: Edit, runner: SuiteRunner, has_rest: bool) -> Outcome:
    """Run the tests of a tree in which the edit is planted, up to the first that fails.

    has_rest: also those of other rooms; without them, an edit that its room overlooks survives.
    """
    started_s = time.monotonic()
    room, rest = files_for(edit, runner.tree)
    for name, files in (("room", room), ("rest", rest if has_rest else ())):
        failed = runner.first_failure(files) if files else None
        if failed is not None:
            verdict: Verdict = "room" if name == "room" else "rest"
            return Outcome(verdict, failed, time.monotonic() - started_s)
    return Outcome("survived", "", time.monotonic() - started_s)


def files_for(edit: Edit, tree: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Test files of the edit's room and all others, those that name its module first."""
    files = [str(path.relative_to(tree)) for path in sorted(tree.glob("tests/**/test_*.py"))]
    files = [name for name in files if not name.startswith(SKIPPED)]

    def is_apart(name: str) -> bool:
        """Whether it is about something else, by what it imports."""
        return edit.module not in (tree / name).read_text(encoding="utf-8")

    files.sort(key=lambda name: (is_apart(name), name))
    own = f"tests/{edit.room}/"
    room = tuple(name for name in files if name.startswith(own))
    return room, tuple(name for name in files if not name.startswith(own))


def read_output(output: str, exit_code: int) -> str | None:
    """The test that pytest's output names as failed; None if all passed.

    Raises RuntimeError if pytest did not get to running tests.
    """
    if exit_code in (0, 5):  # 5: every test of these files is one of the slow ones
        return None
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("FAILED", "ERROR"):
            return rest.partition(" - ")[0]
    if exit_code in (1, 2) or exit_code < 0:  # a failure that has no name, or a crash
        return f"pytest ended with {exit_code}"
    raise RuntimeError(f"pytest could not run: {output[-500:]}")
