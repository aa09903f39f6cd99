"""What NVML says about one GPU at one moment. Loaded by the sampling process: nothing heavy here.

Readings that a GPU does not support are None. Not yet run on a GPU: the tests use a fake library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pynvml

REASON_NAMES = {
    "GpuIdle": "gpu_idle",
    "ApplicationsClocksSetting": "applications_clocks",
    "SwPowerCap": "power_cap",
    "HwSlowdown": "hw_slowdown",
    "SyncBoost": "sync_boost",
    "SwThermalSlowdown": "sw_thermal",
    "HwThermalSlowdown": "hw_thermal",
    "HwPowerBrakeSlowdown": "power_brake",
    "DisplayClockSetting": "display_clock",
}
_PREFIXES = ("nvmlClocksEventReason", "nvmlClocksThrottleReason")
_REASON_CALLS = (
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One reading. utilisation, memory_utilisation: shares of the driver's last sampling period.

    energy_j: since the driver was loaded; clock_reasons: why clocks are below their maximum,
    joined by `+`, empty if for no reason.
    """

    utilisation: float | None
    memory_utilisation: float | None
    memory_used_bytes: int | None
    power_w: float | None
    energy_j: float | None
    sm_clock_mhz: int | None
    memory_clock_mhz: int | None
    temperature_c: int | None
    clock_reasons: str | None


class GpuReader(Protocol):
    """Where samples come from."""

    def read(self) -> GpuSample:
        """Take one sample. May raise; sampling then ends with the reason."""
        ...


class NvmlReader:
    """Reads one GPU through NVML.

    gpu: its UUID, or its place in NVML's order. nvml: the module `pynvml`, or what stands in for
    it. Raises that module's `NVMLError` if there is no driver or no such GPU.
    """

    def __init__(self, gpu: str, nvml: Any = pynvml) -> None:
        self._nvml = nvml
        nvml.nvmlInit()
        self._handle = (
            nvml.nvmlDeviceGetHandleByIndex(int(gpu))
            if gpu.isdigit()
            else nvml.nvmlDeviceGetHandleByUUID(gpu)
        )
        self._reasons = _reason_bits(nvml)

    def read(self) -> GpuSample:
        """One sample."""
        nvml = self._nvml
        rates = self._ask("nvmlDeviceGetUtilizationRates")
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        power_mw = self._ask("nvmlDeviceGetPowerUsage")
        energy_mj = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return GpuSample(
            utilisation=None if rates is None else rates.gpu / 100,
            memory_utilisation=None if rates is None else rates.memory / 100,
            memory_used_bytes=None if memory is None else int(memory.used),
            power_w=None if power_mw is None else power_mw / 1000,
            energy_j=None if energy_mj is None else energy_mj / 1000,
            sm_clock_mhz=self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            temperature_c=self._ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            clock_reasons=self._clock_reasons(),
        )

    def _ask(self, name: str, *arguments: Any) -> Any:
        """A reading, or None where library or GPU does not know it."""
        call: Callable[..., Any] | None = getattr(self._nvml, name, None)
        if call is None:
            return None
        try:
            return call(self._handle, *arguments)
        except self._nvml.NVMLError:
            return None

    def _clock_reasons(self) -> str | None:
        """Newer drivers speak of event reasons, older ones of throttle reasons; same bits."""
        for name in _REASON_CALLS:
            mask = self._ask(name)
            if mask is not None:
                return "+".join(word for bit, word in self._reasons.items() if mask & bit)
        return None


def nvml_reader(gpu: str) -> GpuReader:
    """The reader of the sampling process."""
    return NvmlReader(gpu)


def nvml_obstacle(nvml: Any = pynvml) -> str | None:
    """Why NVML cannot be asked here, such as `no NVML: ...`; None if it can."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return f"no NVML: {error}"
    try:
        return None if nvml.nvmlDeviceGetCount() else "no NVML: it lists no GPU"
    except nvml.NVMLError as error:
        return f"no NVML: {error}"
    finally:
        nvml.nvmlShutdown()


def _reason_bits(nvml: Any) -> dict[int, str]:
    """Names by bit, under the constants' present or former names."""
    bits: dict[int, str] = {}
    for name, word in REASON_NAMES.items():
        found = [getattr(nvml, prefix + name, None) for prefix in _PREFIXES]
        known = [bit for bit in found if bit]
        if known:
            bits[known[0]] = word
    return bits
