"""Files given by path are called by name, and by as much of their path as tells them apart."""

import json
from pathlib import Path

import pytest

from dspark_bench.plots.results import load_results
from dspark_bench.reading.gather import gather
from dspark_bench.reading.names import short_names
from dspark_bench.report.recommend import recommend
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
