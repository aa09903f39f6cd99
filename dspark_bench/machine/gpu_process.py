"""Starts the sampling process, stops it, and reads what it wrote: no timed step waits for it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_IMPORT_ROOT = str(Path(__file__).parents[2])
PERIOD_S = 0.1
STOP_S = 5.0


@dataclass(slots=True)
class GpuTelemetry:
    """Filled when sampling has ended. rows: samples, by time; obstacle: why there are none, or no
    more; None if all went well.
    """

    obstacle: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    pid: int | None = None


@contextmanager
def sampled(
    reader: str, gpu: str, period_s: float = PERIOD_S, paths: Sequence[str] = ()
) -> Iterator[GpuTelemetry]:
    """Sample while the block lasts. The run never waits for the sampler, nor fails with it.

    reader: `module:function` that gives a `GpuReader` for `gpu`; paths: where else to look for it.
    """
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            process = _start([reader, gpu, str(period_s), str(os.getpid())], lines, paths)
        except OSError as error:
            yield GpuTelemetry(f"the sampler did not start: {error.strerror or error}")
            return
        telemetry = GpuTelemetry(pid=process.pid)
        try:
            yield telemetry
        finally:
            _stop(process)
            lines.seek(0)
            telemetry.rows, telemetry.obstacle = read_samples(lines.read())


def read_samples(text: str) -> tuple[list[dict[str, Any]], str | None]:
    """The sampler's lines, and why there are none or no more; a line cut short is left out."""
    rows: list[dict[str, Any]] = []
    error: str | None = None
    for line in text.splitlines():
        with suppress(ValueError):
            row = json.loads(line)
            if "error" in row:
                error = f"the sampler ended: {row['error']}"
            else:
                rows.append(row)
    return rows, error if rows else error or "the sampler gave no sample"


def _start(
    arguments: Sequence[str], out: IO[str], paths: Sequence[str]
) -> "subprocess.Popen[bytes]":
    """In a session of its own: Ctrl-C in the terminal is for the run, which then stops this."""
    known = [_IMPORT_ROOT, *paths, os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", "dspark_bench.machine.gpu_sampler", *arguments],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in known if path)},
        start_new_session=True,
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask by closing its input; a sampler stuck in the driver is killed."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
