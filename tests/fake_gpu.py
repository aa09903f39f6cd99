"""Fakes of NVML and of a GPU's readings. Nothing measured comes from here."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dspark_bench.machine.gpu_reader import GpuSample


class FakeNvmlError(Exception):
    """Stands in for pynvml.NVMLError."""


_ANSWERS: dict[str, Any] = {
    "nvmlInit": None,
    "nvmlShutdown": None,
    "nvmlDeviceGetCount": 1,
    "nvmlSystemGetDriverVersion": b"555.1",
    "nvmlDeviceGetName": "Fake GPU",
    "nvmlDeviceGetHandleByIndex": "handle 0",
    "nvmlDeviceGetHandleByUUID": "handle by name",
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=75, memory=25),
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=8000, used=5000, free=3000),
    "nvmlDeviceGetPowerUsage": 123456,
    "nvmlDeviceGetTotalEnergyConsumption": 9876543,
    "nvmlDeviceGetTemperature": 61,
    "nvmlDeviceGetCurrentClocksEventReasons": 4 + 8,
    "nvmlDeviceGetCurrentClocksThrottleReasons": 4,
    "nvmlDeviceGetEnforcedPowerLimit": 300000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 350000,
    "nvmlDeviceGetPersistenceMode": 1,
}


class FakeNvml:
    """One fake GPU with the constants and calls of pynvml.

    missing: calls that the library lacks; refused: calls that the GPU does not support; prefix: of
    the constants, which NVML has renamed.
    """

    NVMLError = FakeNvmlError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(
        self,
        missing: tuple[str, ...] = (),
        refused: tuple[str, ...] = (),
        prefix: str = "nvmlClocksEventReason",
    ) -> None:
        self._missing, self._refused = missing, refused
        constants = {"GpuIdle": 1, "SwPowerCap": 4, "HwSlowdown": 8}
        self._constants = {prefix + name: bit for name, bit in constants.items()}

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(name)
        if name in self._constants:
            return self._constants[name]
        clocks = {"nvmlDeviceGetClockInfo": (1410, 1593), "nvmlDeviceGetMaxClockInfo": (1980, 2619)}
        if name not in _ANSWERS and name not in clocks:
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            if name in self._refused:
                raise FakeNvmlError("Not Supported")
            return clocks[name][arguments[1] - 1] if name in clocks else _ANSWERS[name]

        return call


class FakeGpuReader:
    """Energy grows by 50 J per second of the monotonic clock. Leaves a file once it has read."""

    def __init__(self, mark: str) -> None:
        self._mark = Path(mark)

    def read(self) -> GpuSample:
        energy_j = 50 * time.monotonic()
        self._mark.touch()
        return GpuSample(0.5, 0.1, 1000, 50.0, energy_j, 1400, 1500, 60, "power_cap")


class FakeHungReader(FakeGpuReader):
    """A driver that does not come back from its first reading."""

    def read(self) -> GpuSample:
        super().read()
        time.sleep(600)
        raise AssertionError


def fake_reader(gpu: str) -> FakeGpuReader:
    """The reader that tests name to the sampling process; gpu is the file to leave."""
    return FakeGpuReader(gpu)


def hung_reader(gpu: str) -> FakeGpuReader:
    """Its first sample never comes."""
    return FakeHungReader(gpu)


def broken_reader(gpu: str) -> FakeGpuReader:
    """A GPU that is not there."""
    raise FakeNvmlError(f"no such GPU: {gpu}")
