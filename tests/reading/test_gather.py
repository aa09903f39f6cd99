"""A folder is what its points' own files say, whatever became of its tables."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.results import load_results
from dspark_bench.reading.gather import gather, read_sweeps
from tests.report.folders import cells, write_sweep


def _edited(change: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda file: file.write_text(change(file.read_text()))


EDITS: dict[str, Callable[[Path], object]] = {
    "a byte-order mark": _edited(lambda text: "\ufeff" + text),
    "text in a number": _edited(lambda text: text.replace("1.25", "fast")),
    "another number": _edited(lambda text: text.replace("1.25", "9.99")),
    "a row cut off": _edited(lambda text: text[: len(text) - 90]),
    "behind by a point": _edited(lambda text: text[: text.index("\nb,") + 1]),
    "garbage": lambda file: file.write_bytes(b"\xff\x00"),
    "gone": lambda file: file.unlink(),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_table_changes_nothing(tmp_path: Path, edit: str) -> None:
    folder = write_sweep(tmp_path / "s", [cells("a"), cells("b", gamma=7, speedup=1.5)])
    before, frame = gather(folder), load_results(folder).rows
    EDITS[edit](folder / "summary.csv")
    assert gather(folder) == before
    assert load_results(folder).rows.equals(frame)


def test_every_command_sees_the_whole_points_of_a_killed_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table with its header alone, and a plan that still calls every point pending."""
    folder = write_sweep(tmp_path / "s", [cells("a"), cells("b", gamma=7)], pending=("c", "d"))
    table = folder / "summary.csv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    plan = json.loads((folder / "sweep.json").read_text())
    plan["points"] = [entry | {"status": "pending"} for entry in plan["points"]]
    (folder / "sweep.json").write_text(json.dumps(plan))
    (sweep,) = gather(folder).sweeps
    assert [point.point_id for point in sweep.points if point.is_measured] == ["a", "b"]
    assert (sweep.pending, sweep.lost) == (("c", "d"), ())
    assert cli.execute(["recommend", str(folder)]) == 0
    assert cli.execute(["plot", str(folder), "--kind", "table1", "--kind", "s_curve"]) == 0
    assert "s: 2 of 4 points not measured yet" in capsys.readouterr().err


def test_states_come_from_the_points_own_files(tmp_path: Path) -> None:
    rows = [
        cells("a"),
        cells("b", status="stale"),
        cells("c", timing_invalid="true"),
        cells("d", status="failed"),
        cells("e"),
        cells("f", status="stale", timing_invalid="true"),
    ]
    folder = write_sweep(tmp_path / "s", rows, pending=("g",))
    (folder / "points" / "e" / "metrics.json").write_text('{"counts": 7}')
    gathered = gather(folder)
    states = {point.point_id: point.status for point in gathered.points}
    assert states == {
        "a": "finished",
        "b": "stale",
        "c": "timing_invalid",
        "d": "failed",
        "e": "unreadable",
        "f": "stale",
    }
    assert gathered.sweeps[0].pending == ("g",)
    usable = [point.point_id for point in gathered.points if point.obstacle is None]
    assert usable == ["a"]
    failed = next(point for point in gathered.points if point.point_id == "d")
    assert failed.message == "cannot <draft>" and not failed.is_measured
    assert any("e: metrics.json is damaged: counts is no object" in p for p in gathered.problems)


def test_a_point_without_its_metrics_and_one_without_its_folder_are_named(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [cells("a"), cells("b"), cells("c")])
    (folder / "points" / "b" / "metrics.json").unlink()
    shutil.rmtree(folder / "points" / "c")
    gathered = gather(folder)
    assert gathered.problems == (
        "s/b: has neither metrics.json nor error.json; the point is not shown",
        "s: c was measured, but the folder in points/ is gone",
    )
    assert gathered.sweeps[0].lost == ("c",)
    reasons = [str(skipped) for skipped in load_results(folder).skipped]
    assert reasons == [
        "s/b: status unreadable: has neither metrics.json nor error.json",
        "s: point c is gone from points/",
    ]


def test_points_are_found_without_a_plan(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "r" / "s", [cells("a")])
    (folder / "sweep.json").unlink()
    gathered = gather(tmp_path / "r")
    assert [point.point_id for point in gathered.points] == ["a"]
    assert gathered.problems == ("s: cannot read sweep.json (No such file or directory)",)


def test_a_verdict_reached_later_counts(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "r" / "s", [cells("a")])
    file = folder / "points" / "a" / "metrics.json"
    content = json.loads(file.read_text())
    content["facts"]["verification"] = "v.json"
    file.write_text(json.dumps(content))
    assert gather(folder).points[0].text("lossless") == ""
    (tmp_path / "r" / "verify").mkdir()
    (tmp_path / "r" / "verify" / "v.json").write_text('{"passed": false}')
    assert gather(folder).points[0].text("lossless") == "false"


def test_values_that_no_table_can_hold_are_no_values(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [cells("a"), cells("b")])
    file = folder / "points" / "a" / "metrics.json"
    content = json.loads(file.read_text())
    content["summary"] |= {"speedup": float("inf"), "alpha": [1], "point_id": "x", "tokens": 9**99}
    file.write_text(json.dumps(content))
    point = gather(folder).points[0]
    assert (point.number("speedup"), point.text("alpha")) == (None, "[1]")
    assert (point.point_id, point.text("tokens")) == ("a", "")


def test_nothing_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no sweep in"):
        read_sweeps(tmp_path)
    with pytest.raises(ResultsError, match="is not a folder"):
        read_sweeps(tmp_path / "absent")
    folder = write_sweep(tmp_path / "s", [cells("a", status="failed")], pending=("b", "c"))
    with pytest.raises(ResultsError, match="1 point failed, 2 never run") as caught:
        gather(folder)
    assert "\n" not in str(caught.value)
