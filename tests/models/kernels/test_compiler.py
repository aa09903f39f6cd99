"""Of processes that start together one compiles; where nothing can be kept nobody waits."""

import time
from itertools import pairwise
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from dspark_bench.models.kernels.compiler import one_at_a_time


def kernel(folder: object) -> SimpleNamespace:
    return SimpleNamespace(_cache=SimpleNamespace(cache_path=folder))


def times_inside(folders: list[object]) -> list[tuple[float, float]]:
    """When each of as many threads was inside; each opens the lock's file for itself."""
    found: list[tuple[float, float]] = []

    def enter(folder: object) -> None:
        with one_at_a_time(kernel(folder)):  # type: ignore[arg-type]
            started_s = time.monotonic()
            time.sleep(0.05)
            found.append((started_s, time.monotonic()))

    threads = [Thread(target=enter, args=[folder]) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def test_one_enters_after_the_other(tmp_path: Path) -> None:
    inside = times_inside([str(tmp_path / "new")] * 3)
    assert all(ended_s <= started_s for (_, ended_s), (started_s, _) in pairwise(inside))


def test_folders_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with one_at_a_time(kernel(str(tmp_path / "a"))):  # type: ignore[arg-type]
        assert len(times_inside([str(tmp_path / "b")])) == 1


def test_without_a_folder_to_write_to_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(times_inside([str(tmp_path / "file" / "x")])) == 1


def test_without_a_cache_no_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(times_inside([None])) == 1
    assert list(tmp_path.iterdir()) == []
