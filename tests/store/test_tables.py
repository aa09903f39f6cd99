"""Rows of summary.csv, the table on the screen, and verdicts that come later."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.commands.display import divergence_lines, gap_table, result_table
from dspark_bench.machine.environment import Environment
from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.store.point_store import StoredPoint, write_json
from dspark_bench.store.tables import point_row, with_regret, write_csv

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
    row = point_row(_stored(speedup=1.5), ["load.concurrency"], _HERE, tmp_path)
    assert row["load.concurrency"] == 8
    assert row["speedup"] == 1.5
    assert row["status"] == "finished"
    assert row["lossless"] is None


def test_a_verdict_reached_later_counts(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps({"passed": True}))
    assert point_row(_stored(), [], _HERE, tmp_path)["lossless"] is True
    (tmp_path / "v.json").write_text(json.dumps({"passed": False}))
    assert point_row(_stored(), [], _HERE, tmp_path)["lossless"] is False


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
    row = point_row(_stored(speedup=1.5, speedup_model=1.56, **figures), [], _HERE, tmp_path)
    console = Console(file=io.StringIO(), width=80)
    console.print(result_table([row]))
    assert isinstance(console.file, io.StringIO)
    line = console.file.getvalue().splitlines()[-1].split()
    assert line[:8] == ["semi_ar", "4", "mixed", "1.50", "1.44-1.57", "3.21", "0.71", "0.08"]
    assert line[8:] == ["2.11", "1.56", "+4%", "untested"]


def test_gap_table_lists_every_term_and_skips_points_without_one(tmp_path: Path) -> None:
    terms = dict(zip(GAP_TERMS, (0.0, -0.25, 0.05, -0.2, -0.1, 0.15), strict=True))
    figures = {f"gap_{name}": value for name, value in terms.items()}
    row = point_row(_stored(speedup=1.5, speedup_theory=1.85, **figures), [], _HERE, tmp_path)
    console = Console(file=io.StringIO(), width=80)
    table = gap_table([row, point_row(_stored(), [], _HERE, tmp_path)])
    assert table is not None and table.row_count == 1
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


def test_regret_is_what_is_missing_of_the_oracles_throughput() -> None:
    def row(scheduler: str, concurrency: int, tok_s: float | None) -> dict[str, object]:
        point = {"scheduler": scheduler, "concurrency": concurrency, "throughput_tok_s": tok_s}
        return {"drafter": "semi_ar", "gamma": 4, **point}

    rows = [
        row("fixed", 1, 80.0),
        row("oracle", 1, 100.0),
        row("fixed", 8, 300.0),
        row("hardware_aware", 1, None),
    ]
    found = with_regret(rows, ["scheduler", "load.concurrency"])
    assert [r.get("scheduler_regret") for r in found] == [pytest.approx(0.2), 0.0, None, None]
