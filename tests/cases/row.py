"""One row of the table of cases, and what becomes of it when it is typed."""

import contextlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TextIO

import pytest

from dspark_bench import cli

Screen = Literal["file", "60 columns", "closed pipe"]
Prepare = Callable[[Path], None]
Patch = Callable[[pytest.MonkeyPatch], None]

SMALL: Final = (
    "target.path=target",
    "drafter=semi_ar",
    "drafter.path=semi_ar",
    "workload=jsonl",
    "workload.path=prompts.jsonl",
    "name=small",
    "gamma=2",
    "num_requests=1",
    "max_new_tokens=4",
    "measure.repeats=1",
    "measure.warmup_requests=0",
    "measure.calibration_requests=0",
    "measure.agreement_requests=0",
    "measure.law_tokens=0",
    "engine=cpu",
    "engine.threads=1",
)
"""What `SMALL` in a row stands for; what the row says of the same key comes in its place."""
_REPO = Path(cli.__file__).resolve().parents[2]
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass(frozen=True, slots=True)
class Row:
    """A case: what is typed, and the right outcome.

    typed: the command line as in a shell, in a folder that holds the kit; says: what is printed,
    in this order, runs of blanks as one, the home folder as HOME; never: what must not be.
    prepare: puts the case's input into the folder; patch: stands in for the machine, or for time;
    shown_in: a file that the command writes, whose text counts as printed; screen: what the output
    goes to.
    """

    case: int
    subject: str
    typed: str
    exit_code: int
    says: Sequence[str]
    never: Sequence[str] = ()
    prepare: Prepare | None = None
    patch: Patch | None = None
    shown_in: str | None = None
    screen: Screen = "file"

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.case:02d} {self.subject}"

    @property
    def needs(self) -> str | None:
        """A program beside ours, None for most rows."""
        word = self.typed.split(" ", 1)[0]
        return word if word == "make" else None


def arguments(row: Row) -> list[str]:
    """The words of the command line, `SMALL` spelled out."""
    words = shlex.split(row.typed)
    if "SMALL" not in words:
        return words
    given = {word.split("=", 1)[0] for word in words}
    given |= {"drafter.path"} if "drafter" in given else set()
    kept = [item for item in SMALL if item.split("=", 1)[0] not in given]
    at = words.index("SMALL")
    return [*words[:at], *kept, *words[at + 1 :]]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did. shown: its output, then its errors, blanks as one."""

    exit_code: int
    out: str
    err: str
    shown: str


def type_in(row: Row, box: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Run a row's command in `box`."""
    if row.needs is not None:
        done = subprocess.run(
            shlex.split(row.typed), cwd=_REPO, capture_output=True, text=True, check=False
        )
        return Outcome(done.returncode, done.stdout, done.stderr, " ".join(done.stdout.split()))
    out: TextIO = io.StringIO()
    err = io.StringIO()
    if row.screen == "60 columns":
        out = _Terminal()
        for name, value in (("COLUMNS", "60"), ("LINES", "30"), ("TERM", "xterm-256color")):
            monkeypatch.setenv(name, value)
    if row.screen == "closed pipe":
        reads, writes = os.pipe()
        os.close(reads)
        out = os.fdopen(writes, "w", buffering=1)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(box))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code = cli.execute(arguments(row))
    printed = out.getvalue() if isinstance(out, io.StringIO) else ""
    if row.screen == "closed pipe":
        out.close()
    kept = (box / row.shown_in).read_text(encoding="utf-8") if row.shown_in else ""
    texts = [_CONTROL.sub("", text) for text in (printed, err.getvalue(), kept)]
    return Outcome(code, texts[0], texts[1], " ".join(" ".join(texts).split()))


def wrong(row: Row, outcome: Outcome, home: str) -> list[str]:
    """What is not as it must be; empty if all is. home: called HOME by the rows."""
    found, shown = [], outcome.shown.replace(home, "HOME")
    if outcome.exit_code != row.exit_code:
        found.append(f"exit code {outcome.exit_code}, right is {row.exit_code}")
    at = 0
    for text in row.says:
        place = shown.find(text, at)
        if place < 0:
            found.append(f"does not say {text!r}" + (" after the others" if at else ""))
        else:
            at = place + len(text)
    found += [f"says {text!r}" for text in row.never if text in shown]
    if "Traceback" in shown:
        found.append("shows a traceback")
    lines = outcome.err.splitlines()
    if row.exit_code == 2 and (len(lines) != 1 or not lines[0].startswith("error: ")):
        found.append("stderr is not one line that starts with 'error: '")
    return found
