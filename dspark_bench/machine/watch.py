"""Reads what else the machine does, right before and right after every turn.

Whatever the system does not report is None, without a complaint: containers and virtual machines
often show neither frequencies nor throttling. A reading costs well under a millisecond and lies
outside of every timed step.
"""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from dspark_bench.metrics.machine import Reading, Window

SLOW_PERIOD_S = 1.0
"""Frequencies and throttle counts ask every core, so they are read at most this often."""

_BUSY_FIELDS = (0, 1, 2, 5, 6)
_STEAL_FIELD = 7
_MICRO = 1e6


class Watched(Protocol):
    """What a window is labelled with: one turn of one arm."""

    @property
    def arm(self) -> str:
        """`metrics.frames.BASELINE` or `SPECULATIVE`."""
        ...

    @property
    def repeat(self) -> int:
        """Which pass over the prompts, from 0."""
        ...

    @property
    def block(self) -> int:
        """The pair of turns that it belongs to, from 0."""
        ...

    @property
    def is_warmup(self) -> bool:
        """Whether it is left out of every metric."""
        ...


class MachineReader:
    """Reads counters below `root`, which tests replace by a folder of their own."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        cpus = root / "sys/devices/system/cpu"
        self._frequencies = sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        self._throttles = sorted(cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
        self._throttles += sorted(cpus.glob("cpu[0-9]*/thermal_throttle/package_throttle_count"))
        self._quota = _quota_file(root)
        self._slow_s = float("-inf")
        self._slow: tuple[float | None, float | None] = (None, None)

    def read(self) -> Reading:
        """All counters now; the slow ones as of the last second."""
        now_s = time.monotonic()
        if now_s - self._slow_s >= SLOW_PERIOD_S:
            self._slow_s, self._slow = now_s, (self._fastest_mhz(), self._num_throttles())
        busy_s, steal_s = self._processor_s()
        swap_in, swap_out = self._swap_bytes()
        return Reading(
            time_s=time.monotonic(),
            own_s=time.process_time(),
            busy_s=busy_s,
            steal_s=steal_s,
            swap_in_bytes=swap_in,
            swap_out_bytes=swap_out,
            frequency_mhz=self._slow[0],
            num_throttles=self._slow[1],
            quota_s=self._quota_s(),
            num_switches=float(resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw),
        )

    def _processor_s(self) -> tuple[float | None, float | None]:
        try:
            text = (self._root / "proc/stat").read_text(encoding="ascii")
            ticks = [int(word) for word in text.partition("\n")[0].split()[1:]]
            busy, steal = sum(ticks[i] for i in _BUSY_FIELDS), ticks[_STEAL_FIELD]
        except (OSError, ValueError, IndexError):
            return None, None
        per_s = os.sysconf("SC_CLK_TCK")
        return busy / per_s, steal / per_s

    def _swap_bytes(self) -> tuple[float | None, float | None]:
        counts = _named_numbers(self._root / "proc/vmstat")
        page = os.sysconf("SC_PAGE_SIZE")
        pages = counts.get("pswpin"), counts.get("pswpout")
        first, second = (None if count is None else count * page for count in pages)
        return first, second

    def _fastest_mhz(self) -> float | None:
        known = [found / 1000 for path in self._frequencies if (found := _number(path)) is not None]
        if known:
            return max(known)
        try:
            lines = (self._root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            values = [float(x.partition(":")[2]) for x in lines if x.startswith("cpu MHz")]
        except (OSError, ValueError):
            return None
        return max(values, default=None)

    def _num_throttles(self) -> float | None:
        known = [found for path in self._throttles if (found := _number(path)) is not None]
        return sum(known) if known else None

    def _quota_s(self) -> float | None:
        """Control groups count microseconds in version 2, nanoseconds in version 1."""
        if self._quota is None:
            return None
        counts = _named_numbers(self._quota)
        if "throttled_usec" in counts:
            return counts["throttled_usec"] / _MICRO
        return counts["throttled_time"] / 1e9 if "throttled_time" in counts else None


class MachineWatch:
    """Collects the windows of a point's turns."""

    def __init__(self, reader: MachineReader | None = None) -> None:
        self._reader = reader or MachineReader()
        self.windows: list[Window] = []

    @contextmanager
    def around(self, turn: Watched) -> Iterator[None]:
        """Readings before and after the turn; none if it raises."""
        before = self._reader.read()
        yield
        after = self._reader.read()
        self.windows.append(
            Window(turn.arm, turn.repeat, turn.block, turn.is_warmup, before, after)
        )


def watch_idle(seconds: float, reader: MachineReader | None = None) -> Window:
    """A window in which this process does nothing but wait."""
    reader = reader or MachineReader()
    before = reader.read()
    time.sleep(seconds)
    return Window("idle", 0, 0, False, before, reader.read())


def _quota_file(root: Path) -> Path | None:
    for name in ("sys/fs/cgroup/cpu.stat", "sys/fs/cgroup/cpu/cpu.stat"):
        if (root / name).is_file():
            return root / name
    return None


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _named_numbers(path: Path) -> dict[str, float]:
    """A file of `name number` lines; empty if it is not there."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {}
    words = [line.split() for line in lines]
    return {word[0]: float(word[1]) for word in words if len(word) == 2 and word[1].isdigit()}
