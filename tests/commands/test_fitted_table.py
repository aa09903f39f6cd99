"""However many keys are swept, S and its interval stand in the table."""

import io
import itertools

import pytest
from rich.console import Console

from dspark_bench.commands.result_tables import gap_table, result_table
from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.reading.rows import Row

_AXES = ("load.concurrency", "temperature", "scheduler", "measure.calibration_requests", "seed")


def _rows(num_axes: int) -> list[Row]:
    """Two values per axis, each point with figures of its own."""
    rows: list[Row] = []
    keys = ("drafter", *_AXES)[:num_axes]
    for place, values in enumerate(itertools.product(*[(f"{k}-1", f"{k}-2") for k in keys])):
        row: Row = {"drafter": "semi_ar_gated", "gamma": 4, "workload": "mixed", "status": "stale"}
        row |= {"speedup": 1 + place / 100, "speedup_ci_low": 1.01, "speedup_ci_high": 11.25}
        row |= {"accepted_length": 3.21, "alpha": 0.71, "lossless_evidence": "near_tie"}
        row |= {f"gap_{term}": 0.25 for term in GAP_TERMS} | {"speedup_theory": 2.11}
        rows.append(row | dict(zip(keys, values, strict=True)))
    return rows


def _shown(table: object, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("num_axes", range(6))
@pytest.mark.parametrize("width", [60, 80, 120])
def test_s_and_its_interval_are_never_cut(num_axes: int, width: int) -> None:
    rows = _rows(num_axes)
    lines = _shown(result_table(rows, ("drafter", *_AXES)[:num_axes], width), width)
    assert not any("…" in line for line in lines)
    table = [line.split() for line in lines if "1.01-11.25" in line]
    assert [cells[cells.index("1.01-11.25") - 1] for cells in table] == [
        f"{row['speedup']:.2f}" for row in rows
    ]


@pytest.mark.parametrize("num_axes", [0, 5])
def test_the_gap_table_adds_up_at_any_number_of_axes(num_axes: int) -> None:
    rows = _rows(num_axes)
    lines = _shown(gap_table(rows, ("drafter", *_AXES)[:num_axes], 80), 80)
    assert not any("…" in line for line in lines)
    assert sum(line.count("+0.25") == 6 for line in lines) == len(rows)


def test_what_gives_way_is_said() -> None:
    shown = "\n".join(_shown(result_table(_rows(2), ("drafter", "load.concurrency"), 60), 60))
    assert "gamma=4 workload=mixed" in shown
    assert "left out for want of width: " in shown and "summary.csv" in shown
    shown = "\n".join(_shown(result_table(_rows(5), ("drafter", *_AXES)[:5], 60), 60))
    assert "1: drafter=drafter-1 load.concurrency=load.concurrency-1" in shown
