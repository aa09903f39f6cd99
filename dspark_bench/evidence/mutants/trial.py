"""One planted edit against the tests, those first that are likeliest to notice it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
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
"""Noticed by a test of its room, or by another; not at all; or its text is no longer there."""


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


def try_edit(edit: Edit, runner: SuiteRunner, has_rest: bool, test: str = "") -> Outcome:
    """Run the tests of a tree in which the edit is planted, up to the first that fails.

    has_rest: also those of other rooms; without them, an edit that its room overlooks survives.
    test: one that noticed the edit before, if there is one.
    """
    started_s = time.monotonic()
    for files in stages(edit, runner.tree, test):
        is_own = files[0].startswith(_own(edit))
        failed = runner.first_failure(files) if is_own or has_rest else None
        if failed is not None:
            verdict: Verdict = "room" if is_own else "rest"
            return Outcome(verdict, failed, time.monotonic() - started_s)
    return Outcome("survived", "", time.monotonic() - started_s)


def stages(edit: Edit, tree: Path, test: str = "") -> tuple[tuple[str, ...], ...]:
    """All test files, each once, in groups by how likely they are to notice the edit.

    That of `test`; that of the edited module, by its name; those that import the module, first of
    the edit's room, then of others; the rest of its room; the rest. No group is empty, and none
    holds files of its room and others.
    """
    known, own = test.partition("::")[0], _own(edit)
    named = f"test_{Path(edit.file).name}"

    def place(name: str) -> int:
        if name == known:
            return 0
        if name.startswith(own) and name.endswith(f"/{named}"):
            return 1
        is_near = edit.module in (tree / name).read_text(encoding="utf-8")
        return (2 if is_near else 4) + (not name.startswith(own))

    files = sorted((place(name), name) for name in all_files(tree))
    return tuple(tuple(name for _, name in group) for _, group in groupby(files, itemgetter(0)))


def all_files(tree: Path) -> tuple[str, ...]:
    """Every file of tests but those of the list itself, relative to the tree, sorted."""
    files = sorted(str(path.relative_to(tree)) for path in tree.glob("tests/**/test_*.py"))
    return tuple(name for name in files if not name.startswith(SKIPPED))


def _own(edit: Edit) -> str:
    return f"tests/{edit.room}/"


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
