"""The sampling process: `python -m dspark_bench.machine.gpu_sampler READER GPU PERIOD_S PARENT`.

Writes one JSON object per sample to standard output, each with `time_s` of the monotonic clock,
which all processes of a machine share. It ends when its standard input does: the parent closes it
to stop, and the system closes it when the parent dies, however that happens. Should a fork of the
parent hold it open, the sampler still ends once PARENT, a process id, is its parent no more. READER
is `module:function`; the function takes GPU and returns a `GpuReader`.
"""

import json
import os
import select
import sys
import time
from dataclasses import asdict
from importlib import import_module
from typing import TextIO

from dspark_bench.machine.gpu_reader import GpuReader


def main(arguments: list[str]) -> int:
    """Sample until standard input ends or the parent is gone. Errors become a last line."""
    reader_name, gpu, period, parent = arguments
    try:
        module, _, function = reader_name.partition(":")
        reader: GpuReader = getattr(import_module(module), function)(gpu)
        sample(reader, float(period), int(parent), sys.stdin.fileno(), sys.stdout)
    except Exception as error:
        return _tell(f"{type(error).__name__}: {error}")
    return 0


def sample(reader: GpuReader, period_s: float, parent: int, stop: int, out: TextIO) -> None:
    """One line at once, one every `period_s` until `stop` can be read, and one at the end."""
    due_s = time.monotonic()
    is_over = False
    while not is_over:
        before_s = time.monotonic()
        values = asdict(reader.read())
        after_s = time.monotonic()
        out.write(json.dumps({"time_s": (before_s + after_s) / 2, **values}) + "\n")
        out.flush()
        if os.getppid() != parent:
            return
        due_s = max(due_s + period_s, after_s)
        is_over = bool(select.select([stop], [], [], max(0.0, due_s - time.monotonic()))[0])
    values = asdict(reader.read())
    out.write(json.dumps({"time_s": time.monotonic(), **values}) + "\n")
    out.flush()


def _tell(reason: str) -> int:
    try:
        print(json.dumps({"error": reason}), flush=True)
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
