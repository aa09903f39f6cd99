"""Reading the machine from files laid out as Linux lays them out."""

import os
from pathlib import Path

import pytest

from dspark_bench.machine.processors import read_processors, usable_cores
from dspark_bench.machine.watch import MachineReader, MachineWatch, watch_idle
from dspark_bench.measure.turns import Turn

_CPUS = "sys/devices/system/cpu"


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_counters_in_plain_units(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            # user nice system idle iowait irq softirq steal guest guest_nice
            "proc/stat": "cpu  100 20 30 9000 800 4 5 60 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n",
            "proc/vmstat": "nr_free_pages 12\npswpin 3\npswpout 4\n",
            f"{_CPUS}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
            f"{_CPUS}/cpu1/cpufreq/scaling_cur_freq": "3400000\n",
            f"{_CPUS}/cpu0/thermal_throttle/core_throttle_count": "2\n",
            f"{_CPUS}/cpu0/thermal_throttle/package_throttle_count": "5\n",
            "sys/fs/cgroup/cpu.stat": "usage_usec 9\nthrottled_usec 1500000\n",
        },
    )
    reading = MachineReader(tmp_path).read()
    ticks_per_s, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert reading.busy_s == pytest.approx((100 + 20 + 30 + 4 + 5) / ticks_per_s)
    assert reading.steal_s == pytest.approx(60 / ticks_per_s)
    assert (reading.swap_in_bytes, reading.swap_out_bytes) == (3 * page, 4 * page)
    assert (reading.frequency_mhz, reading.num_throttles) == (3400.0, 7)
    assert reading.quota_s == 1.5


def test_frequencies_of_machines_that_list_them_elsewhere(tmp_path: Path) -> None:
    _write(tmp_path, {"proc/cpuinfo": "cpu MHz\t\t: 2596.1\nmodel\t: 1\ncpu MHz\t\t: 2600.5\n"})
    assert MachineReader(tmp_path).read().frequency_mhz == 2600.5
    _write(tmp_path, {"sys/fs/cgroup/cpu/cpu.stat": "throttled_time 2000000000\n"})
    assert MachineReader(tmp_path).read().quota_s == 2.0


def test_nothing_there_and_nonsense_are_none(tmp_path: Path) -> None:
    empty = MachineReader(tmp_path / "nowhere").read()
    _write(tmp_path, {"proc/stat": "cpu x\n", "proc/vmstat": "\n", "proc/cpuinfo": "cpu MHz: ?\n"})
    for reading in (empty, MachineReader(tmp_path).read()):
        assert (reading.busy_s, reading.steal_s, reading.swap_in_bytes) == (None, None, None)
        assert (reading.frequency_mhz, reading.num_throttles, reading.quota_s) == (None,) * 3
        assert reading.own_s > 0


def test_every_turn_has_a_window_and_a_failed_one_has_none() -> None:
    watch = MachineWatch()
    turn = Turn("baseline", 2, 7, (), 0, is_warmup=True)
    with watch.around(turn):
        sum(range(200_000))
    with pytest.raises(RuntimeError, match="engine"), watch.around(turn):
        raise RuntimeError("engine")
    (window,) = watch.windows
    assert (window.arm, window.repeat, window.block, window.is_warmup) == ("baseline", 2, 7, True)
    own_s = window.grown("own_s")
    assert window.elapsed_s > 0 and own_s is not None and own_s > 0


def test_an_idle_window_waits() -> None:
    window = watch_idle(0.01)
    assert window.elapsed_s >= 0.01 and not window.is_warmup


def test_what_processors_may_do(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            f"{_CPUS}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{_CPUS}/cpu1/cpufreq/scaling_governor": "performance\n",
            f"{_CPUS}/cpu0/cpufreq/cpuinfo_max_freq": "3400000\n",
            f"{_CPUS}/cpu0/cpufreq/cpuinfo_min_freq": "800000\n",
            f"{_CPUS}/intel_pstate/no_turbo": "1\n",
            f"{_CPUS}/smt/active": "1\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
        },
    )
    found = read_processors(tmp_path)
    assert found.governors == ("performance", "powersave")
    assert (found.min_mhz, found.max_mhz, found.quota_cores) == (800.0, 3400.0, 1.5)
    assert (found.is_boost_on, found.is_smt_on) == (False, True)
    _write(tmp_path, {"sys/fs/cgroup/cpu.max": "max 100000\n"})
    assert read_processors(tmp_path).quota_cores is None
    unknown = read_processors(tmp_path / "nowhere")
    assert (unknown.governors, unknown.max_mhz, unknown.is_boost_on) == ((), None, None)
    assert (unknown.quota_cores, unknown.is_smt_on) == (None, None)


def test_usable_cores_follow_mask_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5, 7}, raising=False)
    assert usable_cores(tmp_path) == 4
    _write(tmp_path, {"sys/fs/cgroup/cpu.max": "250000 100000\n"})
    assert usable_cores(tmp_path) == 2
    _write(tmp_path, {"sys/fs/cgroup/cpu.max": "50000 100000\n"})
    assert usable_cores(tmp_path) == 1
