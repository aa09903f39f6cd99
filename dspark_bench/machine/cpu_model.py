"""Which processor this is, told apart from others that bear the same name."""

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_CPUINFO: Final = Path("/proc/cpuinfo")
_X86_KEYS: Final = {"cpu family": "family", "model": "model"}
_ARM_KEYS: Final = {"CPU implementer": "implementer", "CPU part": "part"}


def read_cpu_model() -> str:
    """Name and numbers of the first processor; "" never: the architecture, if all else is hidden.

    The numbers matter: virtual machines call processors of several generations by one name.
    """
    try:
        text = _CPUINFO.read_text(encoding="utf-8")
    except OSError:
        return _brand_of_macos() or platform.processor() or platform.machine()
    return model_in(text) or platform.machine()


def model_in(cpuinfo: str) -> str:
    """The same out of the text of Linux' /proc/cpuinfo; "" if it names none."""
    first, *_ = cpuinfo.split("\n\n")
    fields = {
        key.strip(): value.strip()
        for key, colon, value in (line.partition(":") for line in first.splitlines())
        if colon
    }
    numbers = _numbers(fields, _X86_KEYS) or _numbers(fields, _ARM_KEYS)
    return " ".join(part for part in (fields.get("model name", ""), numbers) if part)


def _numbers(fields: Mapping[str, str], keys: Mapping[str, str]) -> str:
    if not all(key in fields for key in keys):
        return ""
    return "(" + ", ".join(f"{word} {fields[key]}" for key, word in keys.items()) + ")"


def _brand_of_macos() -> str:
    try:
        done = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
