"""What the processors may do here, and how torch uses them: parts of `environment.json`."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

_ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
_VARIABLES = (
    *("OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "OMP_DYNAMIC", "OMP_WAIT_POLICY"),
    *("GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME", "MKL_NUM_THREADS", "MKL_DYNAMIC"),
)


@dataclass(frozen=True, slots=True)
class Processors:
    """None: not reported. num_usable: cores in this process's affinity mask; quota_cores: what a
    container may use of them, None without a limit; governors: of all cores, each once.
    """

    num_usable: int | None = None
    quota_cores: float | None = None
    governors: tuple[str, ...] = ()
    min_mhz: float | None = None
    max_mhz: float | None = None
    is_boost_on: bool | None = None
    is_smt_on: bool | None = None


@dataclass(frozen=True, slots=True)
class Threading:
    """How torch computes on the CPU. variables: those that steer its threads, where they are set.

    blas, onednn, openmp: as the build names them; cpu_capability: its widest vector instructions.
    """

    num_interop_threads: int | None = None
    backend: str | None = None
    openmp: str | None = None
    blas: str | None = None
    onednn: str | None = None
    cpu_capability: str | None = None
    variables: dict[str, str] | None = None


def read_processors(root: Path = _ROOT) -> Processors:
    """Look at this machine, or at a folder laid out like it."""
    cpus = root / _CPUS
    governors = {_line(path) for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return Processors(
        num_usable=usable,
        quota_cores=_quota_cores(root / "sys/fs/cgroup"),
        governors=tuple(sorted(name for name in governors if name)),
        min_mhz=_megahertz(cpus / "cpu0/cpufreq/cpuinfo_min_freq"),
        max_mhz=_megahertz(cpus / "cpu0/cpufreq/cpuinfo_max_freq"),
        is_boost_on=_boost(cpus),
        is_smt_on=_switch(cpus / "smt/active"),
    )


def usable_cores(root: Path = _ROOT) -> int:
    """Whole cores that this process may use at a time: those of its affinity mask, as far as a
    container's quota lets it; 1 or more.
    """
    seen = read_processors(root)
    in_mask = seen.num_usable or os.cpu_count() or 1
    return max(1, int(min(in_mask, seen.quota_cores or in_mask)))


def read_threading() -> Threading:
    """As torch is set up now."""
    parallel, build = torch.__config__.parallel_info(), torch.__config__.show()
    return Threading(
        num_interop_threads=torch.get_num_interop_threads(),
        backend=_found(r"ATen parallel backend: (.+)", parallel),
        openmp=_found(r"^OpenMP (\d+)", parallel),
        blas=_found(r"BLAS_INFO=([\w-]+)", build),
        onednn=_found(r"MKL-DNN v([\d.]+)", parallel),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
    )


def _quota_cores(groups: Path) -> float | None:
    """Control groups version 2 (`quota period`), else version 1; -1 and `max` are no limit."""
    words = (_line(groups / "cpu.max") or "").split()
    if len(words) != 2:
        names = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
        words = [_line(groups / name) or "" for name in names]
    is_known = all(word.isdigit() for word in words)
    return int(words[0]) / int(words[1]) if is_known and int(words[1]) else None


def _boost(cpus: Path) -> bool | None:
    no_turbo = _switch(cpus / "intel_pstate/no_turbo")
    return _switch(cpus / "cpufreq/boost") if no_turbo is None else not no_turbo


def _switch(path: Path) -> bool | None:
    text = _line(path)
    return None if text not in ("0", "1") else text == "1"


def _megahertz(path: Path) -> float | None:
    text = _line(path)
    return int(text) / 1000 if text is not None and text.isdigit() else None


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return None if match is None else match[1].strip()


def _line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
