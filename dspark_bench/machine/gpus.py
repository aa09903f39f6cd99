"""The GPUs of this machine as their driver reports them."""

from dataclasses import dataclass
from typing import Any

import pynvml


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU; None where it does not say. Clocks as found, and the highest it can do."""

    name: str
    memory_bytes: int
    driver: str
    power_limit_w: float | None
    sm_clock_mhz: int | None
    memory_clock_mhz: int | None = None
    max_sm_clock_mhz: int | None = None
    max_memory_clock_mhz: int | None = None
    default_power_limit_w: float | None = None
    is_persistent: bool | None = None


def read_gpus(nvml: Any = pynvml) -> tuple[Gpu, ...]:
    """NVIDIA GPUs; empty where there is no driver. nvml: the module, or what stands in for it."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return ()
    try:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        return tuple(_gpu(nvml, handle, driver) for handle in handles)
    except nvml.NVMLError:
        return ()
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: Any, handle: Any, driver: str) -> Gpu:
    sm, memory = nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM
    persistence = _ask(nvml, "nvmlDeviceGetPersistenceMode", handle)
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        driver=driver,
        power_limit_w=_watts(_ask(nvml, "nvmlDeviceGetEnforcedPowerLimit", handle)),
        sm_clock_mhz=_ask(nvml, "nvmlDeviceGetClockInfo", handle, sm),
        memory_clock_mhz=_ask(nvml, "nvmlDeviceGetClockInfo", handle, memory),
        max_sm_clock_mhz=_ask(nvml, "nvmlDeviceGetMaxClockInfo", handle, sm),
        max_memory_clock_mhz=_ask(nvml, "nvmlDeviceGetMaxClockInfo", handle, memory),
        default_power_limit_w=_watts(
            _ask(nvml, "nvmlDeviceGetPowerManagementDefaultLimit", handle)
        ),
        is_persistent=None if persistence is None else bool(persistence),
    )


def _ask(nvml: Any, name: str, *arguments: Any) -> int | None:
    try:
        return int(getattr(nvml, name)(*arguments))
    except nvml.NVMLError:
        return None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
