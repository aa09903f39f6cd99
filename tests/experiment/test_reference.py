"""The reference keeps counts, drops times, and its tables hold what the points hold."""

import io
from pathlib import Path

import pandas as pd
from rich.console import Console

from dspark_bench.experiment.identity import HashCache
from dspark_bench.experiment.reference import ReadPoint, parts, read_points, tables, thin
from dspark_bench.experiment.sweep import SweepRequest, plan_sweep, run_sweep
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
    assert f"| semi_ar | 2 | jsonl | {found:.2f} [" in tables(after)
    thin(folder, keeps_cycles=False)
    assert not list(folder.glob("points/*/*.parquet"))
    assert run_sweep(SweepRequest(tuple(overrides)), Console(file=io.StringIO()))


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
    text = tables(points)
    assert "| semi_ar / ar | 7 | 1.500 [1.500-1.500] | 1.100 [1.100-1.100] | 1.300 |" in text
    assert "| semi_ar / parallel | 15 | 1.250 [1.250-1.250] | - | - |" in text
    assert "semi_ar / parallel | 7" not in text
    assert "conditional: - (0)" in text


def test_every_part_is_a_valid_sweep_of_the_zoo() -> None:
    sizes = {part.name: len(plan_sweep(part.overrides, HashCache())[1]) for part in parts(2, 2)}
    assert sizes == {"domains": 5 * 3, "long": 4, "grid": 5 * 8 * 2 * 3}
