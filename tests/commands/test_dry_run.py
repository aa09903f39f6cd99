"""A dry run: what it says of the points, how long it expects them to take, no trace left."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.commands.dry_run import FINISHED, SPOILT, STALE, duration, state, summary_lines
from dspark_bench.commands.estimate import RULE, Estimate, Measured, estimate
from dspark_bench.commands.sweep_plan import plan_sweep
from dspark_bench.config.point_config import PointConfig
from dspark_bench.machine.environment import read_environment
from dspark_bench.measure.identity import HashCache
from dspark_bench.store.point_store import PointStore
from tests.report.folders import cells, write_sweep
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


def _files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_points_states_and_time_and_nothing_written(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path)
    before = _files(tmp_path)
    assert cli.execute(["sweep", *overrides, "gamma=2,4", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "2 points: 0 finished, 2 to measure" in shown
    assert f"no estimate: no point below {tmp_path / 'results'} was measured" in shown
    assert _files(tmp_path) == before

    assert cli.execute(["run", *overrides, "gamma=2"]) == 0
    before = _files(tmp_path)
    capsys.readouterr()
    assert cli.execute(["sweep", *overrides, "gamma=2,4", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    lines = [" ".join(line.split()[1:]) for line in shown.splitlines()]
    assert "finished gamma=2" in lines and "to measure gamma=4" in lines
    assert "2 points: 1 finished, 1 to measure" in shown
    assert "(from 1 point measured on this machine" in shown
    assert cli.execute(["run", *overrides, "gamma=2", "--dry-run"]) == 0
    assert "nothing to measure" in capsys.readouterr().out
    assert cli.execute(["run", *overrides, "gamma=2", "--dry-run", "--fresh"]) == 0
    assert "1 point: 0 finished, 1 to measure" in capsys.readouterr().out
    assert _files(tmp_path) == before


def test_a_mistake_is_found_as_in_a_real_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["sweep", "gamma=2,99", "--dry-run"]) == 2
    assert "gamma is 99" in capsys.readouterr().err


def test_a_list_of_sweeps_counts_shared_points_once(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text('full: {gamma: "2,3"}\n')
    (folder / "two.yaml").write_text('full: {gamma: "3,4"}\n')
    (folder / "both.yaml").write_text("experiments: [one, two]\n")
    typed = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("name")]
    command = ["+experiment=both", "--config-dir", str(folder.parent), "--dry-run"]
    assert cli.execute(["sweep", *typed, *command]) == 0
    shown = capsys.readouterr().out
    assert "4 points: 0 finished, 3 to measure (1 stand in a second folder" in shown
    assert str(tmp_path / "results" / "both" / "two") in shown
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (100, "2 min"), (12000, "3 h 20 min")]
)
def test_durations_read_as_a_person_would_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture(scope="module")
def point() -> PointConfig:
    """10 requests of 20 tokens, twice: 400 tokens."""
    return _config("num_requests=10", "max_new_tokens=20", "measure.repeats=2", EXACTLY)


EXACTLY = "measure.precision=null"


def _config(*overrides: str) -> PointConfig:
    return plan_sweep(list(overrides), HashCache())[1][0].config


def test_the_estimate_scales_with_the_work_of_the_nearest_points(point: PointConfig) -> None:
    alike = ("semi_ar", "fixed", "closed", "1", "None")
    here = Measured(turns_s=6.0, fixed_s=0.0, work=200, alike=alike, is_near=True)
    slow = replace(here, turns_s=60.0)
    far = replace(slow, is_near=False)
    other = replace(slow, alike=("ar", "fixed", "closed", "1", "None"))
    assert estimate([[point]], [here]) == Estimate(12.0, 1)
    assert estimate([[point]], [replace(here, fixed_s=30.0)]) == Estimate(42.0, 1)
    assert estimate([[point, point]], [here, far, other]) == Estimate(24.0, 3)
    assert estimate([[point], [point]], [here, far, other]) == Estimate(24.0, 3)
    assert estimate([[point]], [far]) == Estimate(120.0, 1)
    assert estimate([[point]], [here, slow, slow]) == Estimate(120.0, 3)
    assert estimate([[point]], []) is None
    assert estimate([], [here]) is None


def test_requests_that_arrive_by_a_clock_are_waited_for_in_every_arm() -> None:
    """Ten gaps of 4 s, twice, without warm-up: 80 s an arm, and two arms have three."""
    timed = _config(
        *("num_requests=11", "max_new_tokens=20", "measure.repeats=2", EXACTLY),
        *("load=constant", "load.rate=0.25", "measure.warmup_requests=0"),
    )
    alike = ("semi_ar", "fixed", "constant", "None", "0.25")
    fast = Measured(turns_s=1.0, fixed_s=0.0, work=440, alike=alike, is_near=True)
    found = estimate([[timed, timed]], [fast])
    assert found is not None and (found.total_s, found.arrivals_s) == (240.0, 240.0)
    slow = replace(fast, turns_s=400.0)
    found = estimate([[timed, timed]], [slow])
    assert found is not None and (found.total_s, found.arrivals_s) == (800.0, 240.0)
    assert estimate([[timed]], []) == Estimate(160.0, 0, arrivals_s=160.0)


def test_what_a_precision_may_end_is_an_upper_bound(point: PointConfig) -> None:
    """As many new prompts as there may be rounds of them; the words say that it may be less."""
    here = Measured(6.0, 0.0, 100, ("semi_ar", "fixed", "closed", "1", "None"), True)
    most = estimate([[_config("num_requests=20", "max_new_tokens=20")]], [here])
    assert most is not None and most.total_s == 24.0 and most.rule.startswith(RULE)
    assert "less where measure.precision is reached early" in most.rule
    assert estimate([[point]], [here]) == Estimate(24.0, 1)


def test_arrivals_are_said_with_and_without_points_measured_here() -> None:
    where = Path("results")

    def last(guess: Estimate) -> str:
        return summary_lines([], 2, guess, where)[-1]

    assert last(Estimate(300.0, 0, arrivals_s=240.0)) == (
        "no estimate: no point below results was measured on this machine; arrivals alone take "
        "4 min"
    )
    assert last(Estimate(800.0, 3, "as they say", 240.0)) == (
        "about 13 min (from 3 points measured on this machine, as they say; arrivals alone take "
        "4 min)"
    )


def test_a_dry_run_counts_arrivals_over_the_arms_of_a_block(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One gap of 100 s a turn: two arms and their baseline."""
    timed = ("load=constant", "load.rate=0.01", "measure.warmup_requests=0", "gamma=2,4")
    assert cli.execute(["sweep", *tiny_overrides(tiny_zoo, tmp_path, *timed), "--dry-run"]) == 0
    assert "; arrivals alone take 5 min" in capsys.readouterr().out


def test_spoilt_times_are_no_finished_point(tmp_path: Path) -> None:
    here = read_environment()
    known = {"code_hash": here.code_hash, "machine_id": here.machine_id}
    rows = [cells(name) for name in ("good", "spoilt")] + [cells("old", status="stale")]
    folder = write_sweep(tmp_path / "s", rows, environment=known)
    for name in ("spoilt", "old"):
        path = folder / "points" / name / "metrics.json"
        content = json.loads(path.read_text())
        content["facts"]["timing_invalid"] = True
        path.write_text(json.dumps(content))
    states = {name: state(PointStore(folder), name, here) for name in ("good", "spoilt", "old")}
    assert states == {"good": FINISHED, "spoilt": SPOILT, "old": STALE}
