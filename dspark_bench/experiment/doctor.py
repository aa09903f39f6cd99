"""`dspark-bench doctor`: versions, machine, and what could spoil a measurement here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pynvml
from rich.table import Table

from dspark_bench.experiment.environment import Environment, read_environment
from dspark_bench.experiment.point_config import ZOO

_BUSY_SHARE = 0.25
_LOW_MEMORY_BYTES = 2 * 2**30
_CHECKED_FOLDERS = ("target", "drafters/semi_ar", "drafters/parallel", "drafters/ar", "prompts")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """facts: what is there; warnings: what could spoil a measurement."""

    facts: dict[str, str]
    warnings: tuple[str, ...]


def diagnose() -> Diagnosis:
    """Look at this machine and this installation."""
    environment = read_environment()
    facts = _facts(environment)
    facts |= {f"GPU {index}": text for index, text in enumerate(_telemetry())}
    return Diagnosis(facts, tuple(_warnings(environment)))


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """Facts, one per line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in diagnosis.facts.items():
        table.add_row(name, value)
    return table


def _facts(environment: Environment) -> dict[str, str]:
    gib = environment.memory_bytes / 2**30
    return {
        "CPU": f"{environment.cpu_model}, {environment.num_cores} cores",
        "memory": f"{gib:.1f} GiB",
        "governor": environment.governor or "not reported",
        "load (1 min)": f"{environment.load_average_1m or 0.0:.2f}",
        "threads by default": str(max(1, environment.num_cores - 1)),
        "system": environment.system,
        "Python": environment.python,
        "torch": environment.torch_build,
        "packages": ", ".join(f"{k} {v}" for k, v in environment.packages.items()),
        "revision": f"{environment.git_revision or 'none'}{'*' if environment.is_dirty else ''}",
        "code": environment.code_hash,
        "CUDA": "yes" if environment.has_cuda else "no",
    }


def _warnings(environment: Environment) -> list[str]:
    found = []
    busy = sum(psutil.cpu_percent(interval=0.5, percpu=True)) / 100
    if busy > _BUSY_SHARE * environment.num_cores:
        found.append(f"other work keeps {busy:.1f} of {environment.num_cores} cores busy")
    if environment.num_cores == 1:
        found.append("one core only: whatever else runs here shares it with the measurement")
    if environment.governor not in (None, "performance"):
        found.append(f"the CPU governor is {environment.governor}; performance is steadier")
    if psutil.virtual_memory().available < _LOW_MEMORY_BYTES:
        found.append("less than 2 GiB of memory is free")
    if "OMP_NUM_THREADS" in os.environ:
        found.append("OMP_NUM_THREADS is set; engine.threads decides instead")
    missing = [name for name in _CHECKED_FOLDERS if not (ZOO / name).is_dir()]
    if missing:
        found.append(f"the embedded zoo lacks {', '.join(missing)}")
    if environment.gpus and not environment.has_cuda:
        found.append("there is a GPU, but this torch build cannot use it")
    if Path("/.dockerenv").exists():
        found.append("inside a container: neighbours on the same machine are not visible")
    return found


def _telemetry() -> list[str]:
    """One line per GPU; empty without a driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        count = pynvml.nvmlDeviceGetCount()
        return [_gpu_line(pynvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu_line(handle: Any) -> str:
    name = pynvml.nvmlDeviceGetName(handle)
    used = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    celsius = pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
    free_gib = memory.free / 2**30
    return f"{name}, {used} % busy, {celsius} °C, {free_gib:.1f} GiB free"
