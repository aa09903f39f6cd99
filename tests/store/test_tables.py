"""Rows of summary.csv, the table on the screen, and verdicts that come later."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.commands.result_tables import gap_table, result_table
from dspark_bench.commands.row_lines import divergence_lines
from dspark_bench.machine.environment import Environment
from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.store.point_store import StoredPoint, write_json
from dspark_bench.store.tables import SweepPlan, stored_row, write_csv, write_tables

_HERE = Environment(
    cpu_model="cpu",
    num_cores=4,
    num_physical_cores=4,
    memory_bytes=1,
    governor=None,
    load_average_1m=None,
    system="",
    python="",
    packages={},
    torch_build="",
    torch_threads=3,
    has_cuda=False,
    gpus=(),
    git_revision=None,
    is_dirty=None,
    code_hash="c0de",
)


def _stored(**summary: object) -> StoredPoint:
    keys = {"drafter": "semi_ar", "gamma": 4, "workload": "mixed", "load.concurrency": 8}
    content = {
        "point": {"keys": keys},
        "facts": {"verification": "v.json", "timing_invalid": False},
        "summary": {"lossless": None, "lossless_evidence": "untested", **summary},
    }
    return StoredPoint("0123", True, content, _HERE.as_json())


def test_a_row_has_swept_keys_under_their_own_names(tmp_path: Path) -> None:
    row = stored_row(_stored(speedup=1.5), ["load.concurrency"], _HERE, tmp_path)
    assert row["load.concurrency"] == 8
    assert row["speedup"] == 1.5
    assert row["status"] == "finished"
    assert row["lossless"] is None


def test_a_verdict_reached_later_counts(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps({"passed": True}))
    assert stored_row(_stored(), [], _HERE, tmp_path)["lossless"] is True
    (tmp_path / "v.json").write_text(json.dumps({"passed": False}))
    assert stored_row(_stored(), [], _HERE, tmp_path)["lossless"] is False


def test_csv_leaves_unknown_values_empty(tmp_path: Path) -> None:
    write_csv(tmp_path / "s.csv", [{"point_id": "a", "speedup": None, "lossless": True}], [])
    header, line = (tmp_path / "s.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert cells["speedup"] == ""
    assert cells["lossless"] == "true"


def test_json_holds_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": [1.0, float("inf")], "z": (True,)})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "x": None,
        "y": [1.0, None],
        "z": [True],
    }


def test_table_fits_80_columns(tmp_path: Path) -> None:
    figures = {"speedup_ci_low": 1.44, "speedup_ci_high": 1.57, "accepted_length": 3.21}
    figures |= {"alpha": 0.71, "draft_cost_ratio": 0.08, "speedup_theory": 2.11}
    row = stored_row(_stored(speedup=1.5, speedup_model=1.56, **figures), [], _HERE, tmp_path)
    console = Console(file=io.StringIO(), width=80)
    console.print(result_table([row]))
    assert isinstance(console.file, io.StringIO)
    line = console.file.getvalue().splitlines()[-1].split()
    assert line[:8] == ["semi_ar", "4", "mixed", "1.50", "1.44-1.57", "3.21", "0.71", "0.08"]
    assert line[8:] == ["2.11", "1.56", "+4%", "untested"]


def test_gap_table_lists_every_term_and_skips_points_without_one(tmp_path: Path) -> None:
    terms = dict(zip(GAP_TERMS, (0.0, -0.25, 0.05, -0.2, -0.1, 0.15), strict=True))
    figures = {f"gap_{name}": value for name, value in terms.items()}
    row = stored_row(_stored(speedup=1.5, speedup_theory=1.85, **figures), [], _HERE, tmp_path)
    console = Console(file=io.StringIO(), width=80)
    table = gap_table([row, stored_row(_stored(), [], _HERE, tmp_path)])
    assert table is not None
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    line = console.file.getvalue().splitlines()[-1].split()
    assert line[3:] == ["1.85", "+0.00", "-0.25", "+0.05", "-0.20", "-0.10", "+0.15", "1.50"]
    assert gap_table([]) is None


def test_divergences_show_margins_and_the_control() -> None:
    divergence = {"prompt_id": "p", "position": 3, "margin": 2e-6, "is_near_tie": True}
    lossless = {
        "evidence": "near_tie",
        "comparison": {"num_compared": 24, "divergences": [divergence]},
        "control": {"num_compared": 8, "divergences": []},
    }
    first, second = divergence_lines("semi_ar gamma=4", lossless)
    assert "1 of 24" in first
    assert "2.0e-06" in first
    assert "0 of 8" in second


def _status_of(environment: dict[str, object], **facts: object) -> object:
    stored = _stored()
    content = stored.content | {"facts": stored.content["facts"] | facts}
    found = StoredPoint("0123", True, content, _HERE.as_json() | environment)
    return stored_row(found, [], _HERE, Path("nowhere"))["status"]


def test_a_point_of_other_code_or_of_another_machine_is_stale() -> None:
    assert _status_of({}) == "finished"
    assert _status_of({"code_hash": "0ther"}) == "stale"
    assert _status_of({"machine_id": "0ther"}) == "stale"
    other = replace(_HERE, cpu_model="faster")
    assert stored_row(_stored(), [], other, Path("nowhere"))["status"] == "stale"


def test_a_timing_that_was_shared_is_invalid_and_not_finished() -> None:
    assert _status_of({}, timing_invalid=True) == "timing_invalid"
    assert _status_of({"machine_id": "0ther"}, timing_invalid=True) == "stale"


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize(
    ("evidence", "lossless"), [("exact", True), ("near_tie", None), ("violated", False)]
)
def test_a_verdict_of_verify_does_not_replace_what_greedy_outputs_showed(
    tmp_path: Path, passed: bool, evidence: str, lossless: bool | None
) -> None:
    (tmp_path / "v.json").write_text(json.dumps({"passed": passed}))
    stored = _stored(lossless=lossless, lossless_evidence=evidence)
    assert stored_row(stored, [], _HERE, tmp_path)["lossless"] is lossless


def test_tables_keep_what_earlier_commands_asked_for(tmp_path: Path) -> None:
    """Two commands, one after the other, into one folder: neither's points or keys are lost."""
    first = SweepPlan(
        "s", (("gamma=2,4",),), ("gamma",), (("a", ("gamma=2",)), ("b", ("gamma=4",)))
    )
    second = SweepPlan("s", (("seed=1,2",),), ("seed",), (("b", ("seed=1",)), ("c", ("seed=2",))))
    for plan in (first, second, first):
        write_tables(tmp_path, plan, _HERE)
    content = json.loads((tmp_path / "sweep.json").read_text())
    assert content["swept_keys"] == ["gamma", "seed"]
    assert content["commands"] == [["gamma=2,4"], ["seed=1,2"]]
    assert content["overrides"] == ["gamma=2,4"]
    found = {entry["point_id"]: entry["overrides"] for entry in content["points"]}
    assert found == {"a": ["gamma=2"], "b": ["gamma=4"], "c": ["seed=2"]}
    assert {entry["status"] for entry in content["points"]} == {"pending"}
    assert (content["machine_id"], content["code_hash"]) == (_HERE.machine_id, "c0de")
    header = (tmp_path / "summary.csv").read_text().splitlines()[0].split(",")
    assert {"gamma", "seed"} <= set(header)
