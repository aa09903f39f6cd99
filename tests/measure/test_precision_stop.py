"""A block ends when all its arms are known well enough, and says so where they are not."""

from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.metrics.looks import level_at
from dspark_bench.reading.rows import Row
from tests.measure.points import plan
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo, write_prompts


def _sweep(zoo: TinyZoo, folder: Path, *more: str) -> tuple[list[Row], str]:
    """Two arms over a file of 50 prompts."""
    write_prompts(folder / "prompts.jsonl", [f"Count to {n}: one, two" for n in range(50)])
    console = Console(width=200, record=True, quiet=False, file=(folder / "out").open("w"))
    fast = ("gamma=2,3", "max_new_tokens=4", "measure.calibration_requests=0")
    overrides = [o for o in tiny_overrides(zoo, folder, *fast) if not o.startswith("num_requests")]
    rows = run_sweep(SweepRequest((*overrides, *more)), console)
    console.file.close()
    return rows, console.export_text()


def test_a_wide_precision_ends_at_the_first_look(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    rows, shown = _sweep(tiny_zoo, tmp_path, "measure.precision=1")
    assert [row["num_rounds"] for row in rows] == [4, 4]
    assert [row["n_requests"] for row in rows] == [48, 48]
    assert [row["precision_reached"] for row in rows] == [True, True]
    assert "widened for several looks" in rows[0]["speedup_interval_basis"]
    assert [row["ci_level"] for row in rows] == [pytest.approx(level_at((48, 50)))] * 2
    line = next(line for line in shown.splitlines() if line.startswith("after 48 prompts: "))
    for row in rows:  # what is shown while it runs is what is written in the end
        reach = row["speedup_ci_high"] / row["speedup"] - 1
        assert f"gamma={row['gamma']} jsonl S {row['speedup']:.2f} ±{reach:.1%}" in line
    assert "was not reached" not in shown


def test_a_precision_that_is_missed_says_what_it_would_take(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    rows, shown = _sweep(tiny_zoo, tmp_path, "measure.precision=0.001")
    assert [row["n_requests"] for row in rows] == [50, 50]  # all that the file has
    assert [row["precision_reached"] for row in rows] == [False, False]
    assert rows[0]["units_needed"] == rows[1]["units_needed"] > 50
    assert (
        "measure.precision was not reached in 5 rounds, for the widest of 2 arms: about "
        f"{rows[0]['units_needed']} prompts would give it"
    ) in shown


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), 24),
        (("measure.precision=0.1",), 96),
        (("measure.precision=0.1", "load.concurrency=4"), 96),
        (("measure.precision=0.1", "load.concurrency=8"), 144),
        (("measure.precision=0.1", "num_requests=7"), 7),
        (("measure.precision=0.1", "load=poisson"), 24),
    ],
)
def test_how_many_requests_there_are_if_nobody_says(
    tiny_zoo: TinyZoo, tmp_path: Path, overrides: tuple[str, ...], expected: int
) -> None:
    write_prompts(tmp_path / "prompts.jsonl", [f"Count to {n}: one" for n in range(200)])
    config, _ = plan(tiny_zoo, tmp_path, "num_requests=null", *overrides)
    assert config.num_requests == expected


def test_rounds_that_can_give_no_s_are_not_served_again(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    """One request never fills a batch of two, so there is no steady part."""
    more = ("measure.precision=0.5", "load.concurrency=2", "num_requests=1", "gamma=2")
    write_prompts(tmp_path / "prompts.jsonl", [f"Count to {n}: one" for n in range(20)])
    overrides = tiny_overrides(tiny_zoo, tmp_path, *more)
    (row,) = run_sweep(SweepRequest(tuple(overrides)), Console(quiet=True))
    assert row["num_rounds"] == 1 and row["speedup"] is None
    assert "measure.max_rounds=12 or more" in row["noise_floor_basis"]  # not measure.repeats
