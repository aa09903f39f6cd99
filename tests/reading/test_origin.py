"""What came in the box is hidden beside one's own results; other machines have headings."""

from pathlib import Path

from dspark_bench.plots.results import load_results
from dspark_bench.reading.gather import gather
from dspark_bench.reading.origin import SHIPPED
from tests.report.folders import cells, write_sweep


def _shipped(results: Path) -> Path:
    write_sweep(results / "reference" / "paper" / "load", [cells("r")])
    (results / "reference" / SHIPPED).write_text("")
    return results


def test_what_came_in_the_box_is_shown_alone_or_when_asked_for(tmp_path: Path) -> None:
    results = _shipped(tmp_path / "results")
    alone = gather(results)
    assert [sweep.name for sweep in alone.sweeps] == ["reference/paper/load"]
    assert alone.hidden == ()
    write_sweep(results / "mine", [cells("m")])
    beside = gather(results)
    assert [sweep.name for sweep in beside.sweeps] == ["mine"]
    assert beside.hidden == ("reference/paper/load",)
    assert "1 sweeps came with dspark-bench" in str(load_results(results).skipped[-1])
    for asked in (results / "reference", results / "reference" / "paper" / "load"):
        (point,) = gather(asked).points
        assert point.point_id == "r" and point.origin.is_shipped
        assert point.origin.heading == "Came with dspark-bench, measured on Test CPU (4 cores)"


def test_a_folder_of_ones_own_called_reference_is_ones_own(tmp_path: Path) -> None:
    write_sweep(tmp_path / "reference", [cells("a")])
    write_sweep(tmp_path / "other", [cells("b")])
    assert [sweep.name for sweep in gather(tmp_path).sweeps] == ["other", "reference"]


def test_machines_are_told_apart_in_words(tmp_path: Path) -> None:
    gpu = {"machine_id": "m1", "gpus": [{"name": "H100"}]}
    write_sweep(tmp_path / "a", [cells("a")])
    write_sweep(tmp_path / "b", [cells("b")], environment=gpu)
    write_sweep(tmp_path / "c", [cells("c")], environment={"machine_id": "m2"})
    here, *others = (point.origin for point in gather(tmp_path, "m0").points)
    assert here.is_here and here.heading == "This machine: Test CPU (4 cores), id m0"
    assert [other.heading for other in others] == [
        "Another machine: Test CPU (4 cores), H100",
        "Another machine: Test CPU (4 cores), id m2",
    ]
    assert sorted([*others, here], key=lambda origin: origin.order)[0] == here
