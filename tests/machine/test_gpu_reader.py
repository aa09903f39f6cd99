"""What is asked of NVML, with a fake library in its place."""

import pytest

from dspark_bench.machine.gpu_reader import NvmlReader, nvml_obstacle
from dspark_bench.machine.gpus import read_gpus
from tests.fake_gpu import FakeNvml

_EVENTS = "nvmlDeviceGetCurrentClocksEventReasons"
_THROTTLES = "nvmlDeviceGetCurrentClocksThrottleReasons"


def test_a_sample_in_plain_units() -> None:
    sample = NvmlReader("0", FakeNvml()).read()
    assert (sample.utilisation, sample.memory_utilisation) == (0.75, 0.25)
    assert (sample.memory_used_bytes, sample.temperature_c) == (5000, 61)
    assert sample.power_w == pytest.approx(123.456)
    assert sample.energy_j == pytest.approx(9876.543)
    assert (sample.sm_clock_mhz, sample.memory_clock_mhz) == (1410, 1593)
    assert sample.clock_reasons == "power_cap+hw_slowdown"


@pytest.mark.parametrize("absent", [{"missing": (_EVENTS,)}, {"refused": (_EVENTS,)}])
def test_older_libraries_and_drivers_speak_of_throttle_reasons(
    absent: dict[str, tuple[str, ...]],
) -> None:
    nvml = FakeNvml(prefix="nvmlClocksThrottleReason", **absent)
    assert NvmlReader("0", nvml).read().clock_reasons == "power_cap"


def test_what_a_gpu_does_not_support_is_none() -> None:
    refused = (
        *("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage", _EVENTS, _THROTTLES),
        *("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetClockInfo", "nvmlDeviceGetTemperature"),
    )
    sample = NvmlReader("GPU-uuid", FakeNvml(refused=refused)).read()
    assert sample.memory_used_bytes == 5000
    others = (sample.energy_j, sample.power_w, sample.clock_reasons, sample.utilisation)
    assert others == (None, None, None, None)
    assert (sample.sm_clock_mhz, sample.temperature_c) == (None, None)


def test_absent_nvml_is_one_reason() -> None:
    assert nvml_obstacle(FakeNvml()) is None
    assert nvml_obstacle(FakeNvml(refused=("nvmlInit",))) == "no NVML: Not Supported"
    assert read_gpus(FakeNvml(refused=("nvmlInit",))) == ()


def test_a_gpus_facts_with_highest_clocks_and_limits() -> None:
    (gpu,) = read_gpus(FakeNvml(refused=("nvmlDeviceGetPersistenceMode",)))
    assert (gpu.name, gpu.driver, gpu.memory_bytes) == ("Fake GPU", "555.1", 8000)
    assert (gpu.power_limit_w, gpu.default_power_limit_w) == (300.0, 350.0)
    assert (gpu.sm_clock_mhz, gpu.max_sm_clock_mhz) == (1410, 1980)
    assert (gpu.memory_clock_mhz, gpu.max_memory_clock_mhz) == (1593, 2619)
    assert gpu.is_persistent is None
