"""The bench's end of a worker's pipes."""

import json
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import psutil

from dspark_bench.core.errors import BenchError

_WORKER: Final = Path(__file__).with_name("worker.py")
_PATIENCE_S: Final = 30


class PeerError(BenchError):
    """A worker that ended, failed or took too long: one line, and where its log is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One turn: seconds of serving all prompts, and the new tokens of each.

    cpu_s: what the worker and its children spent meanwhile, on all cores together.
    """

    seconds: float
    tokens: tuple[tuple[int, ...], ...]
    cpu_s: float = 0.0

    @property
    def num_tokens(self) -> int:
        """Of all prompts together."""
        return sum(map(len, self.tokens))


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a worker. folder: where it works, and `log`.log lies; variables: added to its
    environment.
    """

    name: str
    log: str
    python: Path
    engine_file: Path
    folder: Path
    variables: Mapping[str, str]


class Worker:
    """A running worker, stopped whenever it is not asked, so that only one works at a time.

    A group of processes of its own, since engines have children. Should the bench die, the system
    wakes the group and ends it. Close it, or use it as a context.
    """

    def __init__(self, launch: Launch, settings: Mapping[str, Any], start_s: float) -> None:
        self.name = launch.name
        self._log = launch.folder / f"{launch.log}.log"
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [launch.python, _WORKER, launch.engine_file],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=launch.folder,
                env={**os.environ, **launch.variables},
                process_group=0,
            )
        self._is_awake = True
        self._patience_s = _PATIENCE_S
        try:
            self.facts: dict[str, str] = self._ask(settings, start_s)["ready"]
        except BaseException:
            self.close()
            raise
        self._rest()

    def serve(self, prompts: Sequence[Sequence[int]], limit_s: float) -> Answer:
        """One turn. Raises PeerError if there is no answer within `limit_s` seconds."""
        before_s = self.cpu_s()
        self._wake()
        found = self._ask({"prompts": prompts}, limit_s)
        self._rest()
        tokens = tuple(map(tuple, found["tokens"]))
        return Answer(found["seconds"], tokens, self.cpu_s() - before_s)

    def cpu_s(self) -> float:
        """Of the worker and its living children, since they began."""
        family = [psutil.Process(self._process.pid)]
        family += family[0].children(recursive=True)
        return sum(map(_cpu_s, family))

    def close(self) -> None:
        """End the worker and its children: kindly, then not."""
        self._wake()
        with suppress(OSError):
            _pipe(self._process.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._patience_s)
        self._signal(signal.SIGKILL)
        self._process.wait()
        _pipe(self._process.stdout).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, question: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        answers = _pipe(self._process.stdout)
        try:
            questions = _pipe(self._process.stdin)
            questions.write(json.dumps(question) + "\n")
            questions.flush()
        except OSError as error:
            raise self._failed("it ended before it was asked") from error
        with selectors.DefaultSelector() as selector:
            selector.register(answers, selectors.EVENT_READ)
            if not selector.select(limit_s):
                raise self._failed(f"no answer within {limit_s:g} s")
        line = answers.readline()
        if not line.endswith("\n"):
            raise self._failed("it ended without an answer")
        found: dict[str, Any] = json.loads(line)
        if "failed" in found:
            raise self._failed(found["failed"])
        return found

    def _failed(self, why: str) -> PeerError:
        self._patience_s = 0
        return PeerError(f"{self.name}: {' '.join(why.split())} (log: {self._log})")

    def _rest(self) -> None:
        self._is_awake = False
        self._signal(signal.SIGSTOP)

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _pipe(found: IO[str] | None) -> IO[str]:
    """A pipe that was asked for when the process was started."""
    if found is None:
        raise ValueError("the worker was started without this pipe")
    return found


def _cpu_s(process: psutil.Process) -> float:
    """Of one process; 0 if it has just ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
