"""The reference keeps counts, drops times, and its tables hold what the points hold."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest, plan_sweep
from dspark_bench.config.expand import expand
from dspark_bench.evidence.reference import (
    ReadPoint,
    grid_overrides,
    parts,
    read_points,
    tables,
    thin,
)
from dspark_bench.evidence.reference_grid import keep_grid
from dspark_bench.evidence.reference_origin import measured_on
from dspark_bench.evidence.reference_speed import (
    SWEEPS,
    keep_speeds,
    speed_overrides,
    speed_text,
)
from dspark_bench.measure.identity import HashCache
from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.points import Point
from dspark_bench.report.recommend import Candidate, Challenger, Recommendation
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


def test_a_thinned_sweep_still_gives_its_tables(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=2")
    run_sweep(SweepRequest(tuple(overrides)), Console(file=io.StringIO()))
    folder = tmp_path / "results" / "tiny"
    before = read_points(folder)
    thin(folder, keeps_cycles=True)
    after = read_points(folder)
    key = ("semi_ar", 2, "jsonl")
    assert list(after) == [key]
    assert after[key].by_prompt.equals(before[key].by_prompt)
    columns = pd.read_parquet(next(folder.glob("points/*/cycles.parquet"))).columns
    assert not [name for name in columns if name.startswith("t_") or name == "confidence"]
    found = after[key].metrics["summary"]["accepted_length"]
    assert f"| semi_ar | 2 | jsonl | {found:.2f} [" in tables(after, "Measured there.")
    thin(folder, keeps_cycles=False)
    assert not list(folder.glob("points/*/*.parquet"))
    assert run_sweep(SweepRequest(tuple(overrides)), Console(file=io.StringIO()))


def test_the_origin_names_every_machine_and_revision_once(tmp_path: Path) -> None:
    made = {"num_cores": 2, "cpu_model": "Chip", "torch_threads": 1, "is_dirty": False}
    others = [{"git_revision": "a" * 40}, {"git_revision": "a" * 40}]
    others += [{"git_revision": None, "is_dirty": True, "torch_threads": 3}]
    for number, other in enumerate(others):
        point = tmp_path / "sweep" / "points" / str(number)
        point.mkdir(parents=True)
        (point / "environment.json").write_text(json.dumps(made | other), encoding="utf-8")
    first, second = "1 thread, commit aaaaaaa", "3 threads, commit unknown, with changes"
    expected = f"Measured on 2 cores of Chip, {first}; 2 cores of Chip, {second}."
    assert measured_on(tmp_path / "sweep", tmp_path / "none") == expected
    assert measured_on(tmp_path / "none") == ""


def test_ratios_are_paired_over_every_domain() -> None:
    def point(accepted: float) -> ReadPoint:
        interval = {"value": accepted, "low": accepted, "high": accepted, "n": 2}
        metrics = {
            "intervals": {"accepted_length": interval, "speedup": interval},
            "summary": {"draft_cost_ratio": 0.1},
            "positions": {"agreement": [0.5], "conditional_acceptance": [None]},
            "position_counts": {"accepted": [0.0], "rejected": [0.0]},
        }
        by_prompt = pd.DataFrame({"cycles": [10.0, 10.0], "accepted": [10 * accepted - 10] * 2})
        return ReadPoint(metrics, by_prompt)

    points = {
        ("semi_ar", 7, "math"): point(3.0),
        ("semi_ar", 7, "code"): point(2.2),
        ("ar", 7, "math"): point(2.0),
        ("ar", 7, "code"): point(2.0),
        ("semi_ar", 15, "math"): point(3.0),
        ("parallel", 15, "math"): point(2.4),
    }
    text = tables(points, "Measured there.")
    assert "t over prompts. Measured there.\n" in text
    assert "| semi_ar / ar | 7 | 1.500 | 1.100 | 1.300 |" in text  # equal prompts: no interval
    assert "| semi_ar / parallel | 15 | 1.250 | - | - |" in text
    assert "semi_ar / parallel | 7" not in text
    assert "conditional: - (0)" in text


def test_every_part_is_a_valid_sweep_of_the_zoo() -> None:
    sizes = {part.name: len(plan_sweep(part.overrides, HashCache())[1]) for part in parts(2)}
    assert sizes == {"domains": 5 * 3, "long": 4}


def test_speeds_are_compared_in_one_run_per_domain(tmp_path: Path) -> None:
    for name, (domains, gammas) in SWEEPS.items():
        _, points = plan_sweep(speed_overrides(name, 2, tmp_path), HashCache())
        assert len(points) == 3 * len(domains.split(",")) * len(gammas.split(","))


def test_each_drafter_stands_with_its_fastest_length_behind_the_winner(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=2,3", "num_requests=8")
    run_sweep(SweepRequest(tuple(overrides)), Console(file=io.StringIO()))
    text = keep_speeds(tmp_path / "results", tmp_path)
    assert measured_on(tmp_path / "results") in text
    assert (tmp_path / "speed.md").read_text() == text
    rows = pd.read_csv(tmp_path / "results" / "tiny" / "summary.csv").sort_values("speedup")
    shown = [line.split(" | ") for line in text.splitlines() if line.startswith("| prompts")]
    assert [int(cells[2]) for cells in shown] == list(rows["gamma"])[::-1]
    for cells, speedup in zip(shown, list(rows["speedup"])[::-1], strict=True):
        assert cells[3].startswith(f"{speedup:.2f} [") and cells[-1] == "8 |"
    ahead = rows["speedup"].iloc[-1] / rows["speedup"].iloc[0]
    assert shown[0][5] == ""
    assert float(shown[1][5].split()[0]) == pytest.approx(ahead, abs=0.001)


def test_slower_lengths_of_a_drafter_stand_behind_every_drafters_fastest() -> None:
    def candidate(drafter: str, gamma: int, speedup: float) -> Candidate:
        row = {"workload": "code", "drafter": drafter, "gamma": str(gamma), "accepted_length": "2"}
        point = Point("speed", Path(), row, {}, {}, "finished", None)
        return Candidate("", drafter, point, Interval(speedup, speedup, speedup, 100))

    winner, *others = (
        candidate(*values)
        for values in (("semi_ar", 4, 2.0), ("semi_ar", 3, 1.6), ("ar", 3, 1.25), ("ar", 4, 1.0))
    )
    challengers = tuple(
        Challenger(other, Interval(2.0 / (other.speedup.value or 1), None, None, 100), True, ())
        for other in others
    )
    text = speed_text([Recommendation("code", winner, challengers, ())], "Measured there.")
    assert text.splitlines()[-4:] == [
        "| code | semi_ar | 4 | 2.00 [2.00-2.00] | 2.00 |  | 100 |",
        "| code | ar | 3 | 1.25 [1.25-1.25] | 2.00 | 1.600 | 100 |",
        "| code | semi_ar | 3 | 1.60 [1.60-1.60] | 2.00 | 1.250 | 100 |",
        "| code | ar | 4 | 1.00 [1.00-1.00] | 2.00 | 2.000 | 100 |",
    ]


def test_the_grid_is_whole_and_its_corners_are_valid() -> None:
    points = expand(grid_overrides(2)).points
    assert len(points) == 5 * 8 * 2 * 3
    for corner in (points[0], points[-1]):
        assert len(plan_sweep(corner, HashCache())[1]) == 1


def test_the_grid_keeps_tables_of_what_finished(tmp_path: Path) -> None:
    def row(
        drafter: str, gamma: int, speedup: float, status: str = "finished"
    ) -> dict[str, object]:
        interval = {"speedup_ci_low": speedup - 0.25, "speedup_ci_high": speedup + 0.25}
        bounds = {"accepted_length_ci_low": 1.75, "accepted_length_ci_high": 2.5}
        place = {"temperature": 1.0, "workload": "code", "drafter": drafter, "gamma": gamma}
        counts = {"n_requests": 16, "status": status, "wall_s": 3.0}
        tau = {"accepted_length": 2.0, **bounds}
        return {**place, "speedup": speedup, **interval, **tau, **counts}

    folder = tmp_path / "grid"
    folder.mkdir()
    rows = [row("semi_ar", 8, 1.5), row("semi_ar", 2, 1.25), row("ar", 2, 1.0)]
    pd.DataFrame([*rows, row("ar", 8, 9.0, "failed")]).to_csv(folder / "summary.csv", index=False)
    text = keep_grid(folder, tmp_path)
    assert "| drafter | gamma 2 | gamma 8 |" in text and "n = 16 prompts" in text
    assert "| ar | 1.00 [0.75-1.25] | - |" in text
    assert "| semi_ar | 1.25 [1.00-1.50] | 1.50 [1.25-1.75] |" in text
    assert "| semi_ar | 2.00 [1.75-2.50] | 2.00 [1.75-2.50] |" in text
    kept = pd.read_csv(tmp_path / "grid.csv")
    assert list(kept["speedup"]) == [1.0, 1.25, 1.5] and "wall_s" not in kept
