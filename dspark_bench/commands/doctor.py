"""`dspark-bench doctor`: versions, machine, and what could spoil a measurement here."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.table import Table

from dspark_bench.commands.kernel_notice import load_kernels
from dspark_bench.config.point_config import ZOO
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.machine.gpu_reader import nvml_obstacle, nvml_reader
from dspark_bench.machine.gpus import Gpu, read_gpus
from dspark_bench.machine.processors import usable_cores
from dspark_bench.machine.watch import watch_idle
from dspark_bench.measure.dtype_speed import dtype_speed
from dspark_bench.metrics.machine import machine_warnings, summarise_machine
from dspark_bench.models.hub import hub_line
from dspark_bench.models.kernels.choice import compiled_kernels

_WATCHED_S = 0.5
_LOW_MEMORY_BYTES = 2 * 2**30
_CHECKED_FOLDERS = ("target", "drafters/semi_ar", "drafters/parallel", "drafters/ar", "prompts")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """facts: what is there; warnings: what could spoil a measurement."""

    facts: dict[str, str]
    warnings: tuple[str, ...]


def diagnose(say: Callable[[str], None]) -> Diagnosis:
    """Look at this machine and this installation. say: told why it takes long, where it does."""
    load_kernels(say)
    environment = read_environment()
    facts = _facts(environment) | _telemetry()
    return Diagnosis(facts, tuple(_warnings(environment)))


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """Facts, one per line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in diagnosis.facts.items():
        table.add_row(name, value)
    return table


def _facts(environment: Environment) -> dict[str, str]:
    gib, swap_gib = environment.memory_bytes / 2**30, (environment.swap_bytes or 0) / 2**30
    processors, threading = environment.processors, environment.threading
    highest = "highest frequency not reported"
    if processors.max_mhz is not None:
        highest = f"up to {processors.max_mhz:.0f} MHz"
    usable = processors.num_usable or environment.num_cores
    return {
        "CPU": f"{environment.cpu_model}, {environment.num_cores} cores, {usable} usable, "
        f"{highest}",
        "memory": f"{gib:.1f} GiB, swap {swap_gib:.1f} GiB",
        "governor": ", ".join(processors.governors) or "not reported",
        "load (1 min)": f"{environment.load_average_1m or 0.0:.2f}",
        "threads by default": str(max(1, usable_cores() - 1)),
        "system": environment.system,
        "Python": environment.python,
        "torch": f"{environment.torch_build}, {threading.backend}, {threading.blas}, "
        f"{threading.cpu_capability}",
        "kernels": str(compiled_kernels()),
        "dtype on the CPU": str(dtype_speed()),
        "packages": ", ".join(f"{k} {v}" for k, v in environment.packages.items()),
        "revision": f"{environment.git_revision or 'none'}{'*' if environment.is_dirty else ''}",
        "code": environment.code_hash,
        "CUDA": "yes" if environment.has_cuda else "no",
        "model hub": hub_line(),
    }


def _warnings(environment: Environment) -> list[str]:
    found: list[str] = []
    seen = summarise_machine([watch_idle(_WATCHED_S)], environment.num_cores)
    found += machine_warnings(seen.as_json())
    if environment.num_cores == 1:
        found.append("one core only: whatever else runs here shares it with the measurement")
    if environment.governor not in (None, "performance"):
        found.append(f"the CPU governor is {environment.governor}; performance is steadier")
    if psutil.virtual_memory().available < _LOW_MEMORY_BYTES:
        found.append("less than 2 GiB of memory is free")
    usable = environment.processors.num_usable or environment.num_cores
    quota = environment.processors.quota_cores
    if quota is not None and quota < usable:
        found.append(f"a CPU quota allows {quota:.1f} of {usable} cores; default threads follow it")
    if usable < environment.num_cores:
        found.append(
            f"the affinity mask allows {usable} of {environment.num_cores} cores; default threads "
            "follow it"
        )
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


def _telemetry() -> dict[str, str]:
    """What each GPU does now, or why nobody can tell."""
    obstacle = nvml_obstacle()
    if obstacle is not None:
        return {"GPU": obstacle}
    return {f"GPU {place}": _gpu_line(place, gpu) for place, gpu in enumerate(read_gpus())}


def _gpu_line(place: int, gpu: Gpu) -> str:
    sample = nvml_reader(str(place)).read()
    busy = "?" if sample.utilisation is None else f"{sample.utilisation:.0%}"
    free_gib = (gpu.memory_bytes - (sample.memory_used_bytes or 0)) / 2**30
    return (
        f"{gpu.name}, driver {gpu.driver}, {busy} busy, {sample.temperature_c} °C, "
        f"{free_gib:.1f} GiB free, {sample.power_w} of {gpu.power_limit_w} W, "
        f"{sample.sm_clock_mhz} of {gpu.max_sm_clock_mhz} MHz"
    )
