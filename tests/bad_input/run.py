"""`make bench-bad-input`: every malformed input as a command, and what came of it as a table.

The processes are copies of one that has imported everything; --fresh starts an interpreter each.
"""

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch

import dspark_bench
from dspark_bench.__main__ import main as dspark_bench_main
from dspark_bench.evidence.robustness_file import ROBUSTNESS, replace_section, revision
from dspark_bench.machine.processors import usable_cores
from tests.bad_input.case import (
    TIMEOUT_S,
    Case,
    Outcome,
    changed,
    describe,
    one_line,
    open_box,
    problems,
)
from tests.bad_input.catalogue import catalogue
from tests.bad_input.stock import write_stock

HEADING = "## Bad input"
_REPO = Path(dspark_bench.__file__).resolve().parents[1]
_COLUMNS = ("category", "cases", "one line", "exit code", "tracebacks", "hangs", "stray writes")


@dataclass(frozen=True, slots=True)
class Done:
    """A case and what came of it."""

    case: Case
    outcome: Outcome

    @property
    def has_exit_code(self) -> bool:
        """Whether the exit code is a right one."""
        return not any(text.startswith("exit code") for text in problems(self.case, self.outcome))


def run_case(number: int, stock: Path, folder: Path, is_fresh: bool) -> Outcome:
    """Run the catalogue's case of this number in a process of its own and a folder of its own."""
    case = catalogue()[number]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        box, temporary = Path(name) / "box", Path(name) / "tmp"
        temporary.mkdir()
        before = open_box(stock, box, case)
        environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(_REPO)}
        run = _run_fresh if is_fresh else _run_forked
        with (Path(name) / "out").open("wb") as out, (Path(name) / "err").open("wb") as err:
            code = run(case, box, environment, (out.fileno(), err.fileno()))
        texts = [(Path(name) / file).read_text(errors="replace") for file in ("out", "err")]
        is_hang = code is None
        return Outcome(-1 if code is None else code, *texts, changed(before, box, case), is_hang)


def _run_fresh(
    case: Case, box: Path, environment: Mapping[str, str], streams: tuple[int, int]
) -> int | None:
    """A new interpreter; None if it hangs."""
    command = [sys.executable, "-m", "dspark_bench", *case.arguments]
    out, err = streams
    try:
        return subprocess.run(
            command,
            cwd=box,
            env=environment,
            stdout=out,
            stderr=err,
            timeout=TIMEOUT_S,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return None


def _run_forked(
    case: Case, box: Path, environment: Mapping[str, str], streams: tuple[int, int]
) -> int | None:
    """A copy of this process, which has imported everything already; None if it hangs."""
    child = os.fork()
    if child == 0:
        _become(case, box, environment, streams)
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _become(
    case: Case, box: Path, environment: Mapping[str, str], streams: tuple[int, int]
) -> NoReturn:
    """Be the command from here on, and end with its exit code."""
    code = 1
    try:
        os.chdir(box)
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115
        os.environ.update(environment)
        tempfile.tempdir = None
        sys.path.insert(0, str(box))
        sys.argv = ["dspark-bench", *case.arguments]
        dspark_bench_main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def section(results: Sequence[Done], measured: str, how: str) -> str:
    """The text that is kept: counts by category, and what went wrong. measured: the commit."""
    rows = [_row(name, [d for d in results if d.case.category == name]) for name in _names(results)]
    wrong = [done.case.id for done in results if problems(done.case, done.outcome)]
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *rows, _row("all", results)]
    return "\n".join(
        [
            HEADING,
            "",
            f"`make bench-bad-input` (commit {measured}): {len(results)} malformed inputs, each "
            f"met by the command in a process of its own{how}. Counted are those that ended in one "
            "line on stderr that names what is wrong (or, where damage can be borne, in none), and "
            f"those with the right exit code; a hang is more than {TIMEOUT_S:.0f} s; a stray write "
            "is a file changed outside the results.",
            "",
            *(f"| {' | '.join(cells)} |" for cells in lines),
            "",
            *([f"- wrong: {name}" for name in wrong] or ["No problem was found."]),
            "",
        ]
    )


def _names(results: Sequence[Done]) -> list[str]:
    return list(dict.fromkeys(done.case.category for done in results))


def _row(name: str, results: Sequence[Done]) -> tuple[str, ...]:
    total = len(results)
    return (
        name,
        str(total),
        f"{sum(one_line(d.case, d.outcome) for d in results)}/{total}",
        f"{sum(d.has_exit_code for d in results)}/{total}",
        str(sum(d.outcome.has_traceback for d in results)),
        str(sum(d.outcome.is_hang for d in results)),
        str(sum(bool(d.outcome.written) for d in results)),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the catalogue; returns 1 if a case has another outcome than it must have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=max(1, usable_cores() - 1))
    parser.add_argument("--only", default="", help="cases that are called so; not kept")
    parser.add_argument("--fresh", action="store_true", help="a new interpreter for every case")
    parser.add_argument("--out", type=Path, default=ROBUSTNESS, help="section is replaced here")
    chosen, measured = parser.parse_args(arguments), revision()
    cases = catalogue()
    numbers = [number for number, case in enumerate(cases) if chosen.only in case.id]
    torch.set_num_threads(1)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bad-input-") as name:
        stock = Path(name) / "stock"
        write_stock(stock)
        with ProcessPoolExecutor(chosen.jobs, multiprocessing.get_context("fork")) as pool:
            waiting = [
                pool.submit(run_case, number, stock, Path(name), chosen.fresh) for number in numbers
            ]
            results = [
                Done(cases[number], future.result())
                for number, future in zip(numbers, waiting, strict=True)
            ]
    wrong = [done for done in results if problems(done.case, done.outcome)]
    for done in wrong:
        print(describe(done.case, done.outcome), end="\n\n")
    how = ", a new interpreter each" if chosen.fresh else ""
    text = section(results, measured, how)
    if not chosen.only:
        replace_section(chosen.out, text)
    print(text)
    seconds = time.monotonic() - started
    print(f"{len(results)} cases, {len(wrong)} wrong, {seconds:.0f} s with {chosen.jobs} at a time")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
