"""No room, or no right, to write: from the start, and in the middle of a sweep."""

import ctypes
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dspark_bench.core.errors import PointsFailedError, ResultsError
from dspark_bench.evidence.faults.inspection import finished, leftovers
from dspark_bench.evidence.faults.reference import Reference
from dspark_bench.evidence.faults.report import Tally
from dspark_bench.evidence.faults.sweeps import NAME, Bench, Running, Setting
from dspark_bench.store.point_store import POINTS

FREE_KIB: Final = (0, 24, 64, 128)
"""Room left once a point is finished: none, or enough for a part of the next one's files."""
_DISK: Final = "size=4m"
_PR_CAPBSET_DROP: Final = 24
_CAP_DAC_OVERRIDE: Final = 1
_SMALL_FILE_BYTES: Final = 20_000
_FULL, _READ_ONLY = "No space left on device", "Read-only file system"


def full_disk(bench: Bench, reference: Reference, rooms_kib: Sequence[int] = FREE_KIB) -> Tally:
    """A file system of 4 MiB that fills up; without the right to mount one, small files only."""
    if not can_mount(bench.work):
        return _small_files(bench)
    tally = Tally(
        "full disk", f"a mounted tmpfs of 4 MiB: full at once, or but for {rooms_kib} KiB"
    )
    tally.n = 1 + len(rooms_kib)
    with _disk(bench) as disk:
        _fill(disk, 0)
        ended = bench.run(disk)
        is_named = _FULL in ended.error and not ended.has_traceback
        tally.expect(ended.code == ResultsError.exit_code and is_named, f"at once:\n{ended.text}")
        tally.outcomes["refused at once, exit 2"] += 1
    for free_kib in rooms_kib:
        with _disk(bench) as disk:
            running = bench.launch(disk)
            _wait_for_points(running, disk / NAME)
            filler = _fill(disk, free_kib)
            ended = running.end()
            _judge(ended.code, ended.text, _FULL, f"{free_kib} KiB free", tally)
            kept = reference.inspect(disk / NAME, tally, f"{free_kib} KiB free")
            tally.expect(not leftovers(disk / NAME), f"left: {leftovers(disk / NAME)}")
            filler.unlink()
            reference.compare(disk / NAME, bench.run(disk), kept, tally)
    return tally


def read_only(bench: Bench, reference: Reference) -> Tally:
    """Folders without the right to write, a path below a file, a disk that turns read-only."""
    tally = Tally("read-only results", "")
    setting = Setting(before=_without_override if os.getuid() == 0 else None)
    tested = []
    for name in ("results_dir", "points"):
        with bench.results() as results:
            locked = results if name == "results_dir" else results / NAME / POINTS
            locked.mkdir(parents=True, exist_ok=True)
            locked.chmod(0o555)
            _refused(bench, results, f"{name} of mode 555", tally, setting)
            locked.chmod(0o755)
        tested.append(f"{name} of mode 555")
    with bench.results() as results:
        (results / "file").write_text("")
        _refused(bench, results / "file" / "below", "a path below a file", tally)
        tested.append("a path below a file")
    if can_mount(bench.work):
        with _disk(bench) as disk:
            running = bench.launch(disk)
            _wait_for_points(running, disk / NAME)
            _mount("-o", "remount,ro", str(disk))
            ended = running.end()
            _judge(ended.code, ended.text, _READ_ONLY, "remounted", tally)
            kept = reference.inspect(disk / NAME, tally, "remounted")
            _mount("-o", "remount,rw", str(disk))
            reference.compare(disk / NAME, bench.run(disk), kept, tally)
        tally.n += 1
        tested.append("a tmpfs remounted read-only after the first point")
    as_whom = " (as root without CAP_DAC_OVERRIDE)" if os.getuid() == 0 else ""
    tally.how = ", ".join(tested) + as_whom
    return tally


def _without_override() -> None:
    """Permission bits hold for root too from the next exec on (Linux)."""
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def can_mount(work: Path) -> bool:
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        try:
            _mount("-t", "tmpfs", "-o", _DISK, "tmpfs", folder)
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run(["umount", folder], check=True)
    return True


def _small_files(bench: Bench) -> Tally:
    tally = Tally("full disk", "not mounted for lack of rights; instead files of 20 kB at most", 1)
    limits = (_SMALL_FILE_BYTES, _SMALL_FILE_BYTES)
    setting = Setting(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    with bench.results() as results:
        ended = bench.run(results, setting=setting)
    is_named = "File too large" in ended.error and not ended.has_traceback
    tally.expect(ended.code == ResultsError.exit_code and is_named, ended.text)
    tally.outcomes["refused at once, exit 2"] += 1
    return tally


def _refused(
    bench: Bench, results: Path, name: str, tally: Tally, setting: Setting | None = None
) -> None:
    ended = bench.run(results, setting=setting)
    tally.n += 1
    is_named = "cannot write results to" in ended.error and not ended.has_traceback
    is_fine = ended.code == ResultsError.exit_code and is_named
    tally.expect(is_fine, f"{name}: exit {ended.code}\n{ended.text}")
    tally.outcomes["refused at once, exit 2"] += is_fine


def _judge(code: int, text: str, reason: str, name: str, tally: Tally) -> None:
    """Points that could not be kept are named with the reason, and the sweep ends with 4."""
    is_named = reason in text and "Traceback (most" not in text
    is_fine = code == PointsFailedError.exit_code and is_named
    tally.expect(is_fine, f"{name}: exit {code}\n{text}")
    tally.outcomes["later points named as failed, exit 4"] += is_fine


def _wait_for_points(running: Running, folder: Path) -> None:
    """Until a point is finished, and the next is being measured."""
    while running.process.poll() is None and not finished(folder):
        time.sleep(0.01)
    time.sleep(0.3)


def _fill(disk: Path, free_kib: int) -> Path:
    """Take all room but this."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        room = os.statvfs(disk)
        file.write(bytes(max(0, room.f_bavail * room.f_frsize - 1024 * free_kib)))
    return path


@contextmanager
def _disk(bench: Bench) -> Iterator[Path]:
    with bench.results() as folder:
        _mount("-t", "tmpfs", "-o", _DISK, "tmpfs", str(folder))
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    command: Sequence[str] = ["mount", *arguments]
    subprocess.run(command, check=True, capture_output=True)
