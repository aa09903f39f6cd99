"""Reading results folders, whole and broken."""

import json
from pathlib import Path

import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.results import load_results
from tests.plots.folders import row, two_drafters, write_sweep


def test_one_sweep(tmp_path: Path) -> None:
    results = load_results(write_sweep(tmp_path / "first", two_drafters()))
    assert len(results.rows) == 6
    assert set(results.rows["sweep"]) == {"first"}
    assert results.metrics["first", "semi_ar4"]["intervals"]["speedup"]["n"] == 24
    assert results.skipped == ()


def test_folder_of_sweeps(tmp_path: Path) -> None:
    write_sweep(tmp_path / "a", [row("p1")])
    write_sweep(tmp_path / "deep" / "b", [row("p2")])
    assert set(load_results(tmp_path).rows["sweep"]) == {"a", "deep/b"}


def test_broken_points_are_skipped_and_named(tmp_path: Path) -> None:
    rows = [
        row("good"),
        row("failed", status="failed"),
        row("stale", status="stale"),
        row("shared", timing_invalid=True),
        row("lost"),
        row("torn"),
    ]
    rows = [{"timing_invalid": False} | values for values in rows]
    folder = write_sweep(tmp_path / "s", rows)
    (folder / "points/failed/error.json").write_text(json.dumps({"message": "no such file"}))
    (folder / "points/lost/metrics.json").unlink()
    (folder / "points/torn/metrics.json").write_text('{"a": ')
    results = load_results(folder)
    assert list(results.rows["point_id"]) == ["good"]
    reasons = {point.point_id: point.reason for point in results.skipped}
    assert reasons["failed"] == "status failed: no such file"
    assert (
        reasons["stale"].startswith("stale: measured by other code")
        and "--fresh" in reasons["stale"]
    )
    assert reasons["shared"].startswith("timing_invalid: another timed run")
    assert "metrics.json" in reasons["lost"]
    assert "metrics.json" in reasons["torn"]


def test_a_corrupt_sweep_file_is_named_and_its_points_are_shown(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "bad", [row("q")])
    (folder / "sweep.json").write_text("{")
    results = load_results(tmp_path)
    assert results.rows["point_id"].tolist() == ["q"]
    (skipped,) = results.skipped
    assert str(skipped).startswith("bad: cannot read sweep.json")


def test_settings_that_only_the_point_names_become_columns(tmp_path: Path) -> None:
    keys = {"target": "zoo", "target.path": "models/big", "scheduler.min_gain": 0.1}
    keys |= {"scheduler._target_": "a.B", "scheduler.table": [[1, 7]], "max_new_tokens": 48}
    folder = write_sweep(tmp_path / "s", [row("p")], point={"keys": keys})
    found = load_results(folder).rows.iloc[0]
    assert (found["target"], found["scheduler.min_gain"]) == ("big", 0.1)
    assert found["max_new_tokens"] == 48
    assert not {"scheduler._target_", "scheduler.table"} & set(found.index)


def test_several_folders_keep_their_names(tmp_path: Path) -> None:
    first = write_sweep(tmp_path / "x" / "a", [row("p")])
    write_sweep(tmp_path / "y" / "a", [row("p")])
    results = load_results([first, tmp_path / "y"])
    assert results.rows["sweep"].tolist() == ["a", "y/a"]
    assert results.folders["a", "p"] == first / "points" / "p"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no sweep in"):
        load_results(tmp_path)
    with pytest.raises(ResultsError, match="is not a folder"):
        load_results(tmp_path / "absent")


def test_only_failed_points(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [row("p", status="failed")])
    with pytest.raises(ResultsError, match="no usable point"):
        load_results(folder)
