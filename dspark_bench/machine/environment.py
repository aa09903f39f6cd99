"""What a measurement was made on: machine, software, and code revision. No paths, no host names."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from dspark_bench.config.compose import PACKAGE_DIR, conf_dir
from dspark_bench.machine.cpu_model import read_cpu_model
from dspark_bench.machine.gpus import Gpu, read_gpus
from dspark_bench.machine.processors import (
    Processors,
    Threading,
    read_processors,
    read_threading,
)

PACKAGES = (
    *("dspark-bench", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas"),
    *(
        "pyarrow",
        "gguf",
        "huggingface_hub",
        "hydra-core",
        "jinja2",
        "matplotlib",
        "numba",
        "nvidia-ml-py",
        "pillow",
        "platformdirs",
        "psutil",
        "pyyaml",
    ),
    *("rich", "typer"),
)
"""Ours, and everything that we declare to depend on."""

_HASHED_SUFFIXES = (".py", ".yaml")


@dataclass(frozen=True, slots=True)
class Environment:
    """`environment.json`. code_hash covers the package's sources and YAML, committed or not.

    torch_threads: within an operation; kernels: what the target ran on, and why;
    memory_available_bytes, swap_used_bytes: when it was read.
    """

    cpu_model: str
    num_cores: int
    num_physical_cores: int
    memory_bytes: int
    governor: str | None
    load_average_1m: float | None
    system: str
    python: str
    packages: dict[str, str]
    torch_build: str
    torch_threads: int
    has_cuda: bool
    gpus: tuple[Gpu, ...]
    git_revision: str | None
    is_dirty: bool | None
    code_hash: str
    memory_available_bytes: int | None = None
    swap_bytes: int | None = None
    swap_used_bytes: int | None = None
    cuda_version: str | None = None
    cudnn_version: int | None = None
    processors: Processors = Processors()
    threading: Threading = Threading()
    kernels: str | None = None

    @property
    def machine_id(self) -> str:
        """Equal for runs whose timings may be compared."""
        return _machine_id(self.cpu_model, self.num_cores, self.gpus)

    def as_json(self) -> dict[str, Any]:
        """Plain values, `machine_id` included."""
        return {**asdict(self), "machine_id": self.machine_id}


def read_environment() -> Environment:
    """Look at this machine. Whatever is not there is None or empty, without a complaint."""
    revision, is_dirty = _git_state()
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return Environment(
        cpu_model=read_cpu_model(),
        num_cores=os.cpu_count() or 1,
        num_physical_cores=psutil.cpu_count(logical=False) or 0,
        memory_bytes=memory.total,
        governor=_read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load_average_1m=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
        torch_build=f"{torch.__version__}, CUDA {torch.version.cuda}",
        torch_threads=torch.get_num_threads(),
        has_cuda=torch.cuda.is_available(),
        gpus=read_gpus(),
        git_revision=revision,
        is_dirty=is_dirty,
        code_hash=code_hash(),
        memory_available_bytes=memory.available,
        swap_bytes=swap.total,
        swap_used_bytes=swap.used,
        cuda_version=torch.version.cuda,
        cudnn_version=torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        processors=read_processors(),
        threading=read_threading(),
    )


def this_machine_id() -> str:
    """`Environment.machine_id` of this machine, without looking at anything else."""
    return _machine_id(read_cpu_model(), os.cpu_count() or 1, read_gpus())


def _machine_id(cpu_model: str, num_cores: int, gpus: Sequence[Gpu]) -> str:
    parts = [cpu_model, str(num_cores), *(gpu.name for gpu in gpus)]
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]


def code_hash() -> str:
    """16 hex digits over the package's sources and the shipped configuration."""
    digest = hashlib.sha256()
    for root in (PACKAGE_DIR, conf_dir()):
        for path in sorted(p for p in root.rglob("*") if p.suffix in _HASHED_SUFFIXES):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read_line(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _git_state() -> tuple[str | None, bool | None]:
    """Revision and dirtiness of the checkout that holds the package; None outside of one."""
    revision = _git("rev-parse", "HEAD")
    if revision is None or _git("ls-files", "--error-unmatch", __file__) is None:
        return None, None
    changes = _git("status", "--porcelain", "--", "dspark_bench", "conf", "pyproject.toml")
    return revision, bool(changes)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=PACKAGE_DIR.parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
