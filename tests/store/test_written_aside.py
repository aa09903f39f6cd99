"""What a reader, or another writer, meets while a file or a folder is being written."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.store.point_store import PointStore, flatten, replace_text, write_json
from tests.store.test_point_store import _ID, _source


def test_a_file_stays_as_it_was_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "summary.csv"
    replace_text(path, "old")
    write = Path.write_text

    def looked_at(self: Path, text: str, **how: Any) -> int:
        count = write(self, text, **how)
        assert path.read_text() == "old"
        return count

    monkeypatch.setattr(Path, "write_text", looked_at)
    replace_text(path, "new")
    assert path.read_text() == "new"
    assert [found.name for found in tmp_path.iterdir()] == ["summary.csv"]


def test_a_write_that_breaks_off_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.json"
    write_json(path, {"a": 1})

    def full(self: Path, text: str, **how: Any) -> int:
        with self.open("w") as file:
            file.write(text[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["sweep.json"]


def test_a_points_folder_has_its_name_only_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, copy = PointStore(tmp_path / "sweep"), shutil.copytree
    place = tmp_path / "sweep" / "points"

    def looked_at(source: Path, target: Path, **how: Any) -> Path:
        found = copy(source, target, **how)
        names = [path.name for path in place.iterdir()]
        assert names == [f".aside-{_ID}-{os.getpid()}"]
        assert store.load_all() == [] and store.damaged() == []
        return found

    monkeypatch.setattr(shutil, "copytree", looked_at)
    store.copy_from(_source(tmp_path, "first"))
    assert [stored.point_id for stored in store.load_all()] == [_ID]


def test_a_result_that_came_while_this_one_was_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes measured the same point; the one that ends first has its say."""
    ours, theirs = PointStore(tmp_path / "sweep"), PointStore(tmp_path / "sweep")
    first, second = _source(tmp_path, "first"), _source(tmp_path, "second")
    copy = shutil.copytree

    def overtaken(source: Path, target: Path, **how: Any) -> Path:
        found = copy(source, target, **how)
        monkeypatch.setattr(shutil, "copytree", copy)
        monkeypatch.setattr(os, "getpid", lambda: 1)
        theirs.copy_from(second)
        monkeypatch.undo()
        return found

    monkeypatch.setattr(shutil, "copytree", overtaken)
    ours.copy_from(first)
    metrics = tmp_path / "sweep" / "points" / _ID / "metrics.json"
    assert json.loads(metrics.read_text())["by"] == "second"
    assert [path.name for path in metrics.parents[1].iterdir()] == [_ID]


def test_a_failure_is_no_result_and_a_result_with_an_old_failure_beside_it_is(
    tmp_path: Path,
) -> None:
    store = PointStore(tmp_path / "sweep")
    store.copy_from(_source(tmp_path, "failed", "error.json"))
    stored = store.load(_ID)
    assert stored is not None and not stored.is_finished and stored.content["by"] == "failed"
    store.copy_from(_source(tmp_path, "done"))
    stored = store.load(_ID)
    assert stored is not None and stored.is_finished and stored.content["by"] == "done"


def test_nested_keys_keep_their_whole_path() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [2, 3]}, "e": {"b": {"c": 4}}, "f": None}
    assert flatten(nested) == {"a.b.c": 1, "a.d": [2, 3], "e.b.c": 4, "f": None}
