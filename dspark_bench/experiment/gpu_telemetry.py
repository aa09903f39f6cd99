"""Samples a run's GPU from another process, so that no timed step waits for a reading."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

import pandas as pd
import torch

from dspark_bench.experiment.compose import PACKAGE_DIR
from dspark_bench.experiment.gpu_reader import nvml_obstacle

NVML_READER = "dspark_bench.experiment.gpu_reader:nvml_reader"
PERIOD_S = 0.1
STOP_S = 2.0


@dataclass(slots=True)
class GpuTelemetry:
    """Filled when sampling has ended. obstacle: why there are no samples; None if there are."""

    obstacle: str | None = None
    samples: pd.DataFrame = field(default_factory=pd.DataFrame)
    pid: int | None = None


@contextmanager
def run_telemetry(device: torch.device) -> Iterator[GpuTelemetry]:
    """Sample the GPU that a run on `device` uses; without one, only say why not."""
    obstacle = nvml_obstacle()
    if obstacle is None and device.type != "cuda":
        obstacle = f"not sampled: the run was on {device.type}"
    if obstacle is not None:
        yield GpuTelemetry(obstacle)
        return
    with sampled(NVML_READER, gpu_name(device)) as telemetry:
        yield telemetry


@contextmanager
def sampled(
    reader: str, gpu: str, period_s: float = PERIOD_S, paths: Sequence[str] = ()
) -> Iterator[GpuTelemetry]:
    """Sample while the block lasts. The run never waits for the sampler, nor fails with it.

    reader: `module:function` that gives a `GpuReader` for `gpu`; paths: where else to look for it.
    """
    telemetry = GpuTelemetry()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as lines:
        try:
            process = _start([reader, gpu, str(period_s)], lines, paths)
        except OSError as error:
            telemetry.obstacle = f"the sampler did not start: {error.strerror or error}"
            yield telemetry
            return
        telemetry.pid = process.pid
        try:
            yield telemetry
        finally:
            _stop(process)
            lines.seek(0)
            telemetry.samples, telemetry.obstacle = read_samples(lines.read())


def read_samples(text: str) -> tuple[pd.DataFrame, str | None]:
    """The sampler's lines as a frame, and why there is none; a line cut short is left out."""
    rows: list[dict[str, Any]] = []
    error: str | None = None
    for line in text.splitlines():
        with suppress(ValueError):
            row = json.loads(line)
            if "error" in row:
                error = f"the sampler ended: {row['error']}"
            else:
                rows.append(row)
    if not rows:
        return pd.DataFrame(), error or "the sampler gave no sample"
    return pd.DataFrame(rows), error


def gpu_name(device: torch.device) -> str:
    """UUID of a CUDA device as NVML spells it, since its own numbers ignore visibility settings."""
    index = torch.cuda.current_device() if device.index is None else device.index
    return f"GPU-{torch.cuda.get_device_properties(index).uuid}"


def _start(
    arguments: Sequence[str], out: IO[str], paths: Sequence[str]
) -> "subprocess.Popen[bytes]":
    """In a session of its own: Ctrl-C in the terminal is for the run, which then stops this."""
    known = [str(PACKAGE_DIR.parent), *paths, os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", "dspark_bench.experiment.gpu_sampler", *arguments],
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
