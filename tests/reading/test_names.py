"""Files given by path are called by name, and by as much of their path as tells them apart."""

import json
from pathlib import Path

import pytest

from dspark_bench.plots.results import load_results
from dspark_bench.plots.selection import name_places, speculative_rows
from dspark_bench.plots.settings import drafter_columns
from dspark_bench.reading.gather import gather
from dspark_bench.reading.names import short_names
from dspark_bench.report.recommend import recommend
from dspark_bench.report.setting_table import setting_tables
from tests.report.folders import cells, write_sweep


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/x/gsm8k.jsonl", "/x/mt.jsonl"], ["gsm8k.jsonl", "mt.jsonl"]),
        (["/x/a/d.jsonl", "/x/b/d.jsonl", "/y/e"], ["a/d.jsonl", "b/d.jsonl", "e"]),
        (["d.jsonl", "b/d.jsonl"], ["d.jsonl", "b/d.jsonl"]),
        (["m/", "n/./"], ["m", "n"]),
        (["/h/models--org--Big-1B/snapshots/0a1b", "/h/small"], ["org/Big-1B", "small"]),
    ],
)
def test_short_names(paths: list[str], expected: list[str]) -> None:
    assert list(short_names(paths).values()) == expected


def test_no_file_is_called_as_what_is_there_without_one() -> None:
    paths = ["/x/semi_ar", "semi_ar", "/x/one"]
    assert list(short_names(paths, {"semi_ar"}).values()) == ["x/semi_ar", "./semi_ar", "one"]


def test_a_name_that_says_the_drafter_again_is_said_once(tmp_path: Path) -> None:
    """Of two files, and beside the zoo's own drafter, whose label must be another one."""
    rows = [cells(name, gamma=gamma, drafter_hash=name) for name, gamma in (("a", 4), ("b", 4))]
    folder = write_sweep(tmp_path / "s", rows)
    _add(folder, "a", drafter__path="/c/semi_ar")
    _add(folder, "b", drafter__path="/c/other")
    assert _shown(folder) == {
        "semi_ar at gamma 4 with fixed",
        "semi_ar other at gamma 4 with fixed",
    }
    assert _curves(folder) == {"semi_ar", "semi_ar other"}
    beside = write_sweep(tmp_path / "t", rows)
    _add(beside, "a", drafter__path="/c/semi_ar")
    assert _shown(beside) == {
        "semi_ar at gamma 4 with fixed",
        "semi_ar c/semi_ar at gamma 4 with fixed",
    }
    assert _curves(beside) == {"semi_ar", "semi_ar c/semi_ar"}


def _shown(folder: Path) -> set[str]:
    (found,) = recommend(gather(folder))
    shown = " ".join(line.text for line in setting_tables([found], 200))
    assert "semi_ar semi_ar" not in shown
    return {item.label for item in (found.winner, *(c.candidate for c in found.challengers))}


def _curves(folder: Path) -> set[str]:
    rows = speculative_rows(load_results(folder))
    named, _ = name_places(rows, ["gamma"], drafter_columns(rows))
    return set(named["series"])


def _add(folder: Path, point_id: str, **keys: str) -> None:
    file = folder / "points" / point_id / "metrics.json"
    content = json.loads(file.read_text())
    content["point"]["keys"] |= {name.replace("__", "."): value for name, value in keys.items()}
    file.write_text(json.dumps(content))


def test_prompts_targets_and_drafters_have_names_instead_of_hashes(tmp_path: Path) -> None:
    rows = [
        cells("a", workload="jsonl", prompts_hash="1", drafter_hash="x", target_hash="t"),
        cells("b", workload="jsonl", prompts_hash="1", drafter_hash="y", target_hash="t"),
        cells("c", workload="jsonl", prompts_hash="2", drafter_hash="x", target_hash="u"),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    _add(folder, "a", workload__path="/d/gsm8k.jsonl", drafter__path="/c/one", target__path="/t/A")
    _add(folder, "b", workload__path="/d/gsm8k.jsonl", drafter__path="/c/two", target__path="/t/A")
    _add(folder, "c", workload__path="/d/chat.jsonl", drafter__path="/c/one", target__path="/t/B")
    found = recommend(gather(folder))
    assert [item.setting for item in found] == [
        "chat.jsonl, 1 request at a time",
        "gsm8k.jsonl, 1 request at a time",
    ]
    labels = {c.label for c in (found[1].winner, found[1].challengers[0].candidate)}
    assert labels == {"semi_ar one at gamma 4 with fixed", "semi_ar two at gamma 4 with fixed"}
    rows_shown = load_results(folder).rows
    assert rows_shown["workload"].tolist() == ["gsm8k.jsonl", "gsm8k.jsonl", "chat.jsonl"]
    assert rows_shown["target"].tolist() == ["A", "A", "B"]
    assert rows_shown["drafter_name"].tolist() == ["one", "two", "one"]


def test_one_content_has_one_name_whatever_its_place(tmp_path: Path) -> None:
    """The same prompts on two machines are one setting; the same name twice is not one file."""
    rows = [
        cells(name, prompts_hash=p, workload="jsonl") for name, p in zip("abc", "112", strict=True)
    ]
    folder = write_sweep(tmp_path / "s", rows)
    for point_id, path in zip(
        "abc", ("/home/u/x.jsonl", "/srv/x.jsonl", "/srv/y/x.jsonl"), strict=True
    ):
        _add(folder, point_id, workload__path=path)
    names = [point.text("workload") for point in gather(folder).points]
    assert names == ["u/x.jsonl", "u/x.jsonl", "y/x.jsonl"]
