"""The committed baseline does what it is there for: 0, 1, 2 and 3, as a user types it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dspark_bench import cli
from tests.gate.folders import recount

BASELINE = Path(__file__).resolve().parents[2] / "results" / "baseline"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BASELINE / "zoo", tmp_path / "zoo"))


def check(results: Path) -> int:
    return cli.execute(["check", str(results), "--baseline", str(BASELINE / "zoo.json")])


def point_of(results: Path, gamma: int) -> Path:
    for path in (results / "points").iterdir():
        keys = json.loads((path / "metrics.json").read_text())["point"]["keys"]
        if keys["gamma"] == gamma:
            return path
    raise AssertionError(gamma)


def test_the_committed_results_pass(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(results) == 0
    assert "verdict: pass" in capsys.readouterr().out


@pytest.mark.parametrize("gamma", [4, 8])
def test_acceptances_lowered_by_5_percent_everywhere_are_a_regression(
    results: Path, gamma: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One in twenty accepted drafts of a point is refused instead, whatever its position."""
    path = point_of(results, gamma) / "cycles.parquet"
    cycles = pd.read_parquet(path)
    rng = np.random.default_rng(0)
    accepted = cycles["num_accepted"].to_numpy()
    passed = rng.random((len(cycles), gamma)) >= 0.05
    kept = np.where(passed.all(axis=1), gamma, np.argmin(passed, axis=1))
    lowered = np.minimum(accepted, kept)
    cycles["is_rejected"] = cycles["is_rejected"].to_numpy() | (lowered < accepted)
    cycles["num_accepted"] = lowered
    cycles.to_parquet(path, index=False)
    recount(path.parent)
    assert check(results) == 1
    shown = capsys.readouterr().out
    assert f"semi_ar gamma={gamma} mixed: regression: " in shown
    assert "acceptance[1]" in shown.partition("regression: ")[2]
    assert shown.count(": regression: ") == 1


@pytest.mark.parametrize("position", [1, 2, 3, 4])
def test_one_position_lowered_by_5_percent_is_named(
    results: Path, position: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = point_of(results, 4) / "cycles.parquet"
    cycles = pd.read_parquet(path)
    reached = np.flatnonzero(cycles["num_accepted"] >= position)
    chosen = np.random.default_rng(1).choice(reached, round(0.05 * len(reached)), replace=False)
    cycles.loc[chosen, "num_accepted"] = position - 1
    cycles.loc[chosen, "is_rejected"] = True
    cycles.to_parquet(path, index=False)
    recount(path.parent)
    assert check(results) == 1
    reason = capsys.readouterr().out.partition("semi_ar gamma=4 mixed: regression: ")[2]
    assert f"acceptance[{position}] by counts" in reason.splitlines()[0]


def test_a_point_that_is_missing_is_a_set_up_error(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = point_of(results, 8)
    shutil.rmtree(gone)
    assert check(results) == 2
    assert gone.name in capsys.readouterr().err
    plan = json.loads((results / "sweep.json").read_text())
    plan["points"] = [entry for entry in plan["points"] if entry["point_id"] != gone.name]
    (results / "sweep.json").write_text(json.dumps(plan))
    assert check(results) == 2
    assert "lack 1 of 2 points of the baseline: semi_ar gamma=8" in capsys.readouterr().err


def test_five_requests_are_inconclusive(results: Path) -> None:
    for point in (results / "points").iterdir():
        for name in ("cycles", "requests"):
            frame = pd.read_parquet(point / f"{name}.parquet")
            frame[frame["request_id"] < 5].to_parquet(point / f"{name}.parquet", index=False)
        recount(point)
    assert check(results) == 3


def test_the_recording_lies_beside_the_baseline() -> None:
    hashes = {
        point["identity"]["continuations_hash"]
        for point in json.loads((BASELINE / "zoo.json").read_text())["points"]
    }
    kept = {
        json.loads(path.read_text())["identity"] for path in BASELINE.glob("continuations/*.json")
    }
    assert hashes == kept
