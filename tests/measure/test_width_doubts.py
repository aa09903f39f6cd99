"""What is said where a scheduler left nothing that tells of the drafter itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.config.point_config import Component, PointConfig
from dspark_bench.core.types import SchedulerSpec
from dspark_bench.measure.doubts import width_doubts
from dspark_bench.reading.gather import gather
from dspark_bench.report.warnings import find_warnings
from tests.measure.points import plan
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

SELECTIVE = SchedulerSpec("mine", is_selective=True, exploration_period=200)
NONE = {"cycles": 40.0, "trial_cycles": 0.0}


@pytest.fixture
def point(tiny_zoo: TinyZoo, tmp_path: Path) -> PointConfig:
    config, _ = plan(tiny_zoo, tmp_path, "scheduler=threshold")
    return config


def test_the_key_that_gives_some_is_named(point: PointConfig) -> None:
    (said,) = width_doubts(point, SELECTIVE, NONE)
    assert said.startswith("alpha, theory and gap are empty under scheduler=threshold: none of its")
    assert "40 decode cycles" in said
    assert "num_requests" in said and "scheduler.exploration_period (now 200)" in said


def test_who_explores_nothing_is_told_what_to_run_instead(point: PointConfig) -> None:
    never = replace(SELECTIVE, exploration_period=0)
    assert "; scheduler.exploration_period=200 has" in width_doubts(point, never, NONE)[0]
    mine = replace(point, scheduler=Component("mine", "mine.Scheduler", {}))
    assert "; scheduler=fixed has some" in width_doubts(mine, never, NONE)[0]
    (said,) = width_doubts(point, replace(never, needs_hindsight=True), NONE)
    assert "scheduler=fixed" in said and "exploration_period" not in said


def test_nothing_is_said_where_nothing_is_missing(point: PointConfig) -> None:
    assert width_doubts(point, SELECTIVE, {"cycles": 40.0, "trial_cycles": 1.0}) == ()
    assert width_doubts(point, SELECTIVE, {"cycles": 0.0, "trial_cycles": 0.0}) == ()
    assert width_doubts(point, SchedulerSpec("fixed"), NONE) == ()


def test_it_is_said_on_the_terminal_and_in_the_report(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ("gamma=2", "scheduler=threshold", "scheduler.exploration_period=0")
    assert cli.execute(["run", *tiny_overrides(tiny_zoo, tmp_path, *keys)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "warning: alpha, theory and gap are empty under scheduler=threshold" in shown
    folder = tmp_path / "results" / "tiny"
    assert any("exploration_period=200 has some" in line for line in find_warnings(gather(folder)))
    (row,) = read_summary(folder)
    assert row["alpha"] == row["speedup_theory"] == ""


def test_a_short_run_under_a_selective_scheduler_knows_alpha_theory_and_gap(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    keys = ("gamma=2", "scheduler=threshold", "max_new_tokens=48")
    assert cli.execute(["run", *tiny_overrides(tiny_zoo, tmp_path, *keys)]) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert all(row[name] for name in ("alpha", "speedup_theory", "gap_non_iid", "gap_overhead"))
    metrics = json.loads(
        next((tmp_path / "results/tiny/points").glob("*/metrics.json")).read_text()
    )
    assert not any("alpha, theory and gap" in note for note in metrics["notes"])
