"""Small real sweeps as processes of their own, and what became of them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from dspark_bench.config.compose import PACKAGE_DIR

NAME: Final = "victim"
ZOO_SWEEP: Final = (
    *("drafter=semi_ar", "gamma=1,2,3", "num_requests=2", "max_new_tokens=8"),
    *(
        "measure.precision=null",
        "measure.repeats=1",
        "measure.warmup_requests=1",
        "measure.calibration_requests=2",
    ),
    *("measure.calibration_concurrency=2", "measure.agreement_requests=1", "engine=cpu"),
    "engine.threads=1",
)
"""Three points of the zoo, a second or two each."""
_PATIENCE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What the child meets. before: called in it before the program starts."""

    before: Callable[[], None] | None = None


class Process(Protocol):
    """A running child."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    def poll(self) -> int | None:
        """Its exit status if it has ended; minus the signal's number if one ended it."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """The same, once it has ended."""
        ...


Start = Callable[[Sequence[str], Path, Setting], Process]
"""Starts `dspark-bench` with arguments, its output to a file."""


def start_program(arguments: Sequence[str], output: Path, setting: Setting) -> Process:
    """`python -m dspark_bench` as a fresh interpreter, importing included."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job ignores it
        if setting.before is not None:
            setting.before()

    paths = [str(PACKAGE_DIR.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    environment |= {"TMPDIR": str(output.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    with output.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "dspark_bench", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=output.parent,
            preexec_fn=prepare,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """How a sweep ended. code: exit status; text: all that it printed."""

    code: int
    text: str

    @property
    def error(self) -> str:
        """The line that begins with `error:`, empty if there is none."""
        lines = [line for line in self.text.splitlines() if line.startswith("error:")]
        return lines[-1] if lines else ""

    @property
    def has_traceback(self) -> bool:
        """Whether a user would have met a traceback."""
        return "Traceback (most recent call last)" in self.text


@dataclass(slots=True)
class Running:
    """A sweep at work."""

    process: Process
    output: Path
    started_s: float = field(default_factory=time.monotonic)

    @property
    def age_s(self) -> float:
        """Seconds since its start: a busy machine's sweeps differ in length."""
        return time.monotonic() - self.started_s

    def end(self, number: signal.Signals | None = None) -> Ended:
        """Wait for its end, after a signal if one is given."""
        if number is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(_PATIENCE_S)
        return Ended(code, self.output.read_text(encoding="utf-8", errors="replace"))


def _say_nothing(line: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how sweeps are started. sweep: overrides without name and place; tell: is given
    a line of progress now and then.
    """

    work: Path
    start: Start = start_program
    sweep: tuple[str, ...] = ZOO_SWEEP
    tell: Callable[[str], None] = _say_nothing

    def launch(
        self,
        results: Path,
        more: Sequence[str] = (),
        setting: Setting | None = None,
        name: str = NAME,
    ) -> Running:
        """Start the sweep into `results`/`name`; later overrides win."""
        given = {override.partition("=")[0] for override in more}
        kept = [o for o in self.sweep if o.partition("=")[0] not in given]
        place = (f"results_dir={results}", f"name={name}")
        handle, output = tempfile.mkstemp(suffix=".log", dir=self.work)
        os.close(handle)
        arguments = ("sweep", *kept, *more, *place)
        return Running(self.start(arguments, Path(output), setting or Setting()), Path(output))

    def run(self, results: Path, more: Sequence[str] = (), setting: Setting | None = None) -> Ended:
        """Run the sweep to its end."""
        return self.launch(results, more, setting).end()

    @contextmanager
    def results(self) -> Iterator[Path]:
        """A results folder of its own, gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="results-", dir=self.work))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
