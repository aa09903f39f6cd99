"""The scheduler bench is a sweep: its arms share blocks, and its tables show their records."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dspark_bench.commands.sweep_list import run_sweep_list
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.sweep_lists import Exhibit, SweepList
from dspark_bench.evidence.bench_schedulers import (
    LEAST_ROUNDS,
    Arm,
    arms_of,
    frontier_table,
    num_rounds,
    ratio,
    sweeps_of,
    table,
)
from dspark_bench.reading.gather import gather
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


def _arm(seconds: list[float], user_tok_s: float = 50.0) -> Arm:
    speeds = np.array([[100.0, time_s] for time_s in seconds])
    return Arm(speeds, None, user_tok_s, 2.5, 0.01)


def test_large_batches_have_fewer_rounds() -> None:
    assert [num_rounds(size, 48) for size in (1, 4, 16)] == [48, 24, 12]
    assert num_rounds(64, 8) == LEAST_ROUNDS == 6


def test_one_user_gets_new_prompts_and_several_the_same_rounds_again() -> None:
    (alone, _), (many, _) = (sweeps_of(size, 8, ["goodput"], "online") for size in (1, 8))
    assert {"num_requests=96", "measure.repeats=1"} <= set(alone)
    assert {"num_requests=24", "measure.repeats=8"} <= set(many)


def test_ratios_are_of_sums_and_units_are_paired() -> None:
    slow = _arm([4.0, 2.0, 2.0])
    assert slow.throughput == 300 / 8
    twice = ratio(_arm([2.0, 1.0, 1.01]), slow)
    assert twice.value == pytest.approx(2.0, rel=0.01)
    assert twice.low is not None and twice.low > 1.9


def test_tables_hold_a_row_per_arm() -> None:
    arms = {
        "none": Arm(np.array([[100.0, 2.0], [100.0, 4.0]]), None, 50.0, 1.0, None),
        "fixed 2": _arm([2.0, 4.0]),
        "hardware_aware": _arm([1.0, 2.0]),
    }
    shown = table(4, arms)
    assert shown.row_count == 3 and len(shown.columns) == 6
    assert list(shown.columns[4].cells) == ["-", "1.0%", "1.0%"]
    assert next(iter(shown.columns[-1].cells)).startswith("2.000")
    frontier = frontier_table("hardware_aware", {4: arms, 8: arms})
    assert list(frontier.columns[1].cells) == ["2.000", "2.000"]  # none, fixed 2


def test_the_arms_of_a_load_are_one_block_and_are_read_from_it(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    """Two users, two rounds; the baseline's speed is that of the block that all arms share."""
    shared = tiny_overrides(tiny_zoo, tmp_path, "measure.agreement_requests=0")
    small = ("num_requests=3", "max_new_tokens=4", "measure.calibration_requests=0")
    sweeps = [
        (*shared, *own, *small, f"gamma={gamma}")
        for own, gamma in zip(sweeps_of(2, 2, ["threshold"], "flat"), ("1,2", "3"), strict=True)
    ]
    sweeps = [tuple({o.partition("=")[0]: o for o in one}.values()) for one in sweeps]
    found = SweepList("tiny", (Exhibit("tiny", tuple(sweeps)),), False, False)
    run_sweep_list(found, SweepRequest(()), Console(file=io.StringIO()))
    points = gather(tmp_path / "results").points
    assert len(points) == 3 and len({point.text("block_id") for point in points}) == 1
    arms = arms_of(points, 2)
    assert list(arms) == ["none", "fixed 1", "fixed 2", "threshold"]
    assert all(arm.speeds.shape == (2, 2) for arm in arms.values())
    for point in points:
        if point.text("scheduler") == "fixed":
            arm = arms[f"fixed {point.text('gamma')}"]
            speedup = arm.throughput / arms["none"].throughput
            assert speedup == pytest.approx(point.number("speedup"))
            assert arm.choosing is not None and math.isfinite(arm.user_tok_s)
