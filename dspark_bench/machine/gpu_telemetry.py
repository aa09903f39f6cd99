"""Which GPU a run uses, and its samples: why there are none, on most machines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch

from dspark_bench.machine.gpu_process import GpuTelemetry, sampled
from dspark_bench.machine.gpu_reader import nvml_obstacle
from dspark_bench.metrics.gpu import label_samples, summarise_gpu, tokens_by_turn
from dspark_bench.metrics.machine import Window

NVML_READER = "dspark_bench.machine.gpu_reader:nvml_reader"


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


def gpu_block(
    telemetry: GpuTelemetry, windows: Sequence[Window], cycles: pd.DataFrame
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The `gpu` block of metrics.json, and `gpu.parquet`: empty without samples.

    windows, cycles: the point's turns and their records.
    """
    samples = pd.DataFrame(telemetry.rows)
    if samples.empty:
        return {"obstacle": telemetry.obstacle}, samples
    block = summarise_gpu(samples, windows, tokens_by_turn(cycles))
    return {"obstacle": telemetry.obstacle, **block}, label_samples(samples, windows)


def gpu_name(device: torch.device) -> str:
    """UUID of a CUDA device as NVML spells it, since its own numbers ignore visibility settings.

    The device's number where torch does not know its UUID.
    """
    index = torch.cuda.current_device() if device.index is None else device.index
    found = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return str(index) if found is None else f"GPU-{found}"
