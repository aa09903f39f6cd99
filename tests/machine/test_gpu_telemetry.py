"""The sampling process itself: what it writes, and that it never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from dspark_bench.machine import gpu_process, gpu_telemetry
from dspark_bench.machine.gpu_process import read_samples, sampled
from dspark_bench.machine.gpu_telemetry import run_telemetry
from dspark_bench.metrics.gpu import summarise_gpu
from dspark_bench.metrics.machine import Reading, Window

_ROOT = str(Path(__file__).parents[2])
_FAKE = "tests.fake_gpu:fake_reader"
_PATIENCE_S = 20.0


def _wait_for(is_so: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


def _is_gone(pid: int) -> bool:
    """A zombie that nobody has buried yet runs no more."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


def test_samples_share_the_parents_clock_and_give_energy_per_token(tmp_path: Path) -> None:
    mark = tmp_path / "read"
    with sampled(_FAKE, str(mark), 0.02, [_ROOT]) as telemetry:
        _wait_for(mark.exists, "the sampler starts")
        start_s = time.monotonic()
        time.sleep(0.6)
        end_s = time.monotonic()
    assert telemetry.pid is not None and _is_gone(telemetry.pid)
    assert telemetry.obstacle is None
    samples = pd.DataFrame(telemetry.rows)
    times = samples["time_s"]
    assert len(times) >= 2 and times.is_monotonic_increasing
    assert times.iloc[0] < start_s and times.iloc[-1] > end_s
    turn = Window("speculative", 0, 0, False, Reading(start_s, 0.0), Reading(end_s, 0.0))
    found = summarise_gpu(samples, [turn], {("speculative", 0, 0): 10})
    # the fake counts 50 J per second: between the ends of the turn, by the same clock
    expected = 50 * (end_s - start_s) / 10
    assert found["arms"]["speculative"]["energy_per_token_j"] == pytest.approx(expected, rel=0.05)


_PARENT = """
import os, time
from dspark_bench.machine.gpu_process import sampled
with sampled({reader!r}, {mark!r}, 0.02, [{root!r}]) as telemetry:
    fork = os.fork() if {has_fork} else 0
    if {has_fork} and fork == 0:
        time.sleep(600)
    print(telemetry.pid, fork, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("sent", "has_fork"),
    [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGTERM, False)],
)
def test_the_sampler_ends_when_its_parent_is_killed(
    tmp_path: Path, sent: signal.Signals, has_fork: bool
) -> None:
    """Also where a fork of the parent still holds the pipe by which it is told to stop."""
    mark = tmp_path / "read"
    code = _PARENT.format(reader=_FAKE, mark=str(mark), root=_ROOT, has_fork=has_fork)
    environment = {**os.environ, "PYTHONPATH": _ROOT}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        sampler, fork = map(int, parent.stdout.readline().split())
        _wait_for(mark.exists, "the sampler starts")
        assert not _is_gone(sampler)
        parent.send_signal(sent)
        parent.wait(_PATIENCE_S)
    try:
        _wait_for(lambda: _is_gone(sampler), "the sampler ends by itself")
    finally:
        if fork:
            os.kill(fork, signal.SIGKILL)


def test_a_sampler_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_process, "STOP_S", 0.2)
    mark = tmp_path / "read"
    with sampled("tests.fake_gpu:hung_reader", str(mark), 0.02, [_ROOT]) as telemetry:
        _wait_for(mark.exists, "the sampler starts")
    assert telemetry.pid is not None and _is_gone(telemetry.pid)
    assert telemetry.obstacle == "the sampler gave no sample"


def test_a_reader_that_fails_is_a_reason_and_no_error() -> None:
    with sampled("tests.fake_gpu:broken_reader", "7", 0.02, [_ROOT]) as telemetry:
        pass
    assert telemetry.rows == []
    assert telemetry.obstacle == "the sampler ended: FakeNvmlError: no such GPU: 7"


def test_a_run_that_fails_takes_the_sampler_along(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="engine"),
        sampled(_FAKE, str(tmp_path / "read"), 0.02, [_ROOT]) as telemetry,
    ):
        raise RuntimeError("engine")
    assert telemetry.pid is not None and _is_gone(telemetry.pid)


def test_a_line_cut_short_is_left_out() -> None:
    rows, obstacle = read_samples('{"time_s": 1.0}\n{"time_s": 2.0}\n{"time')
    assert rows == [{"time_s": 1.0}, {"time_s": 2.0}] and obstacle is None
    rows, obstacle = read_samples('{"time_s": 1.0}\n{"error": "lost"}\n')
    assert len(rows) == 1 and obstacle == "the sampler ended: lost"


def test_without_nvml_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_telemetry, "nvml_obstacle", lambda: "no NVML: none here")
    with run_telemetry(torch.device("cpu")) as telemetry:
        assert telemetry.pid is None
    assert telemetry.obstacle == "no NVML: none here" and telemetry.rows == []
    monkeypatch.setattr(gpu_telemetry, "nvml_obstacle", lambda: None)
    with run_telemetry(torch.device("cpu")) as telemetry:
        assert telemetry.pid is None
    assert telemetry.obstacle == "not sampled: the run was on cpu"


def test_a_sampler_that_cannot_start_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with sampled(_FAKE, "0", 0.02) as telemetry:
        pass
    assert telemetry.obstacle == "the sampler did not start: No such file or directory"
