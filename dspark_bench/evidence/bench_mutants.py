"""Which planted bugs the tests notice: `make bench-mutants`.

    python -m dspark_bench.evidence.bench_mutants [--only costs,store] [--lists core] [--room-tests]

Single edits (`mutants/edits/`) are planted one at a time in a copy of the tree and met by the fast
suite, the likeliest tests first, up to the first failure. Which test that was is kept in
`planted_bugs.csv` beside the table; the next run begins with its file. Without an edit all tests
must pass, which is looked at first. Interrupted, it goes on where it was, as long as neither code
nor tests have changed. Exits 1 if fewer than nine in ten are noticed, if some were not tried, or if
the text of one is no longer where it was.
"""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Final

import typer
from rich.console import Console

from dspark_bench.core.errors import RegressionError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.mutants.edits import Edit, list_names, read_edits
from dspark_bench.evidence.mutants.record import Record, read_tests, write_tests
from dspark_bench.evidence.mutants.report import noticed, progress, rooms_of, section
from dspark_bench.evidence.mutants.tree import REPOSITORY, ScratchTree, code_hash
from dspark_bench.evidence.mutants.trial import Outcome, SuiteRunner, all_files, try_edit
from dspark_bench.evidence.robustness_file import ROBUSTNESS, choose, replace_section, revision
from dspark_bench.machine.processors import usable_cores

WANTED_SHARE: Final = 0.9
_TESTS: Final = "planted_bugs.csv"


def main(
    only: Annotated[str, typer.Option(help="Comma list of rooms, such as costs,store.")] = "",
    lists: Annotated[str, typer.Option(help="Comma list of files of edits, such as core.")] = "",
    minutes: Annotated[float, typer.Option(help="No edit is begun after so many.")] = 55.0,
    jobs: Annotated[int, typer.Option(help="Edits at a time; 0: one per core.")] = 0,
    has_rest: Annotated[
        bool, typer.Option("--all-tests/--room-tests", help="Whether other rooms' tests are run.")
    ] = True,
    work: Annotated[Path | None, typer.Option(help="Folder for copies and outcomes.")] = None,
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = ROBUSTNESS,
) -> None:
    """Plant, test, print, and write the section."""
    console, measured = Console(width=160), revision()
    edits = read_edits(names=choose(lists, list_names()))
    rooms = choose(only, rooms_of(edits))
    edits = tuple(edit for edit in edits if edit.room in rooms)
    folder = work or Path(tempfile.gettempdir()) / f"dspark-bench-mutants-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    extent = "all" if has_rest else "room"
    record = Record(folder / f"{code_hash(REPOSITORY)}-{extent}.json")
    until_s = time.monotonic() + 60 * minutes
    trees = [
        ScratchTree(REPOSITORY, folder / f"tree-{place}") for place in range(jobs or usable_cores())
    ]
    tests = read_tests(out.with_name(_TESTS))
    bench = _Bench(trees, record, console, has_rest, tests)
    try:
        bench.check_control(edits)
        bench.try_all(edits, until_s)
    finally:
        bench.close()
    outcomes = {edit: record.find(edit) for edit in edits}
    spent_s = sum(outcome.seconds for outcome in outcomes.values() if outcome)
    text = section(outcomes, measured, spent_s / 60, has_rest)
    if not only and not lists and has_rest:
        replace_section(out, text)
        write_tests(out.with_name(_TESTS), outcomes)
    console.print(text, markup=False, soft_wrap=True)
    is_complete = all(o is not None and o.verdict != "moved" for o in outcomes.values())
    if not is_complete or noticed(outcomes) < WANTED_SHARE * len(outcomes):
        raise typer.Exit(RegressionError.exit_code)


class _Bench:
    """Several scratch trees at work, each with one edit at a time."""

    def __init__(
        self,
        trees: Sequence[ScratchTree],
        record: Record,
        console: Console,
        has_rest: bool,
        tests: Mapping[str, str],
    ) -> None:
        """tests: that noticed edits before, by the edits' keys."""
        self._runners = [(tree, SuiteRunner(tree.folder)) for tree in trees]
        self._free: SimpleQueue[tuple[ScratchTree, SuiteRunner]] = SimpleQueue()
        for pair in self._runners:
            self._free.put(pair)
        self._record, self._console, self._has_rest = record, console, has_rest
        self._tests = tests

    def check_control(self, edits: Sequence[Edit]) -> None:
        """Raise RegressionError where tests fail without any edit: they would notice everything."""
        rooms = {edit.room: f"tests/{edit.room}/" for edit in edits}
        files = all_files(self._runners[0][0].folder)
        groups = {room: [n for n in files if n.startswith(own)] for room, own in rooms.items()}
        if self._has_rest:
            groups[""] = [name for name in files if not name.startswith(tuple(rooms.values()))]
        left = [room for room in groups if groups[room] and not self._record.has_control(room)]
        with ThreadPoolExecutor(len(self._runners)) as pool:
            found = pool.map(self._first_failure, map(groups.__getitem__, left))
            for room, failed in zip(left, found, strict=True):
                if failed is not None:
                    why = f"{failed} fails without any edit; valid: a suite that passes"
                    raise RegressionError(why)
                self._record.keep_control(room)
                said = f"without an edit: {room or 'all other'} tests pass"
                self._console.print(said, highlight=False)

    def close(self) -> None:
        """End the processes that run the tests."""
        for _, runner in self._runners:
            runner.close()

    def _first_failure(self, files: Sequence[str]) -> str | None:
        tree, runner = self._free.get()
        try:
            return runner.first_failure(files)
        finally:
            self._free.put((tree, runner))

    def try_all(self, edits: Sequence[Edit], until_s: float) -> None:
        """Try what has not been tried, as long as there is time."""
        left = [edit for edit in edits if self._record.find(edit) is None]
        done = len(edits) - len(left)
        with ThreadPoolExecutor(len(self._runners)) as pool:
            running = {pool.submit(self._try, edit, until_s): edit for edit in left}
            for future in as_completed(running):
                outcome = future.result()
                if outcome is not None:
                    done += 1
                    self._record.keep(running[future], outcome)
                    line = progress(running[future], outcome, done, len(edits))
                    self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _try(self, edit: Edit, until_s: float) -> Outcome | None:
        if time.monotonic() > until_s:
            return None
        tree, runner = self._free.get()
        try:
            if not edit.fits(tree.folder):
                return Outcome("moved", "", 0.0)
            with tree.planted(edit):
                return try_edit(edit, runner, self._has_rest, self._tests.get(edit.key, ""))
        finally:
            self._free.put((tree, runner))


if __name__ == "__main__":
    run_bench(main, "bench-mutants")
