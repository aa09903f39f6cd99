"""Point folders appear and vanish whole, whoever else writes to them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.store.failures import is_out_of_memory, reason_of
from dspark_bench.store.folder_lock import folder_lock
from dspark_bench.store.point_store import PointStore

_ID = "0123456789abcdef"
_GONE_PID = 999_999_999


def _source(folder: Path, text: str, name: str = "metrics.json") -> Path:
    source = folder / text / _ID
    source.mkdir(parents=True)
    (source / name).write_text(json.dumps({"by": text, "point": {"keys": {}}}))
    (source / "environment.json").write_text("{}")
    return source


def test_a_result_that_is_there_already_stays(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "sweep")
    store.copy_from(_source(tmp_path, "first"))
    store.copy_from(_source(tmp_path, "second"))
    place = tmp_path / "sweep" / "points"
    assert json.loads((place / _ID / "metrics.json").read_text())["by"] == "first"
    assert [path.name for path in place.iterdir()] == [_ID]


@pytest.mark.parametrize("name", ["error.json", "metrics.json"])
def test_a_failure_and_a_result_that_cannot_be_read_are_replaced(tmp_path: Path, name: str) -> None:
    store = PointStore(tmp_path / "sweep")
    store.copy_from(_source(tmp_path, "first", "error.json"))
    (tmp_path / "sweep" / "points" / _ID / name).write_text('{"cut')
    assert not store.is_finished(_ID)
    store.copy_from(_source(tmp_path, "second"))
    place = tmp_path / "sweep" / "points"
    names = sorted(path.name for path in (place / _ID).iterdir())
    assert names == ["environment.json", "metrics.json"]
    assert [path.name for path in place.iterdir()] == [_ID]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "sweep")
    with pytest.raises(FileNotFoundError):
        store.copy_from(tmp_path / "absent" / _ID)
    assert list((tmp_path / "sweep" / "points").iterdir()) == []


def test_forgetting_takes_the_named_points_only(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "sweep")
    store.copy_from(_source(tmp_path, "first"))
    store.forget(["absent"])
    assert store.is_finished(_ID)
    store.forget([_ID])
    assert list((tmp_path / "sweep" / "points").iterdir()) == []


def test_sweeping_up_leaves_what_a_live_process_writes(tmp_path: Path) -> None:
    points = tmp_path / "sweep" / "points"
    for owner in (_GONE_PID, os.getpid()):
        (points / f".aside-{_ID}-{owner}").mkdir(parents=True)
    (points / ".aside-probe-x1y2").write_text("")
    (points.parent / f"summary.csv.aside-{_GONE_PID}").write_text("")
    PointStore(points.parent).sweep_up()
    assert [path.name for path in points.iterdir()] == [f".aside-{_ID}-{os.getpid()}"]
    assert [path.name for path in points.parent.iterdir()] == ["points"]
    shutil.rmtree(points)


def test_a_folder_is_held_by_one_run(tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path),
        pytest.raises(ResultsError, match="another run is writing to"),
        folder_lock(tmp_path),
    ):
        pass
    with folder_lock(tmp_path):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory"),
        (MemoryError("a cache of 3 GiB"), "out of memory: a cache of 3 GiB"),
        (
            RuntimeError("alloc: DefaultCPUAllocator: can't allocate memory: 8 bytes\nframe #0"),
            "out of memory: alloc: DefaultCPUAllocator: can't allocate memory: 8 bytes",
        ),
        (OSError(28, "No space left on device", "x"), "No space left on device: x"),
        (ResultsError("no folder"), "no folder"),
        (RuntimeError("first line\nsecond"), "RuntimeError: first line"),
        (KeyError(), "KeyError"),
    ],
)
def test_failures_are_named_in_one_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
    assert is_out_of_memory(error) == reason.startswith("out of memory")
