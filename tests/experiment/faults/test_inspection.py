"""The inspection finds what is not whole; each damage alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from dspark_bench.experiment.faults.inspection import counts, leftovers, metric_keys, problems
from dspark_bench.experiment.sweep import SweepRequest, run_sweep
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


@pytest.fixture(scope="module")
def sound(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("sound")
    run_sweep(SweepRequest(tuple(tiny_overrides(tiny_zoo, work))), Console(quiet=True))
    return work / "results" / "tiny"


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _drop_a_figure(point: Path) -> None:
    content = json.loads((point / "metrics.json").read_text())
    del content["summary"]["alpha"]
    (point / "metrics.json").write_text(json.dumps(content))


def _lose_a_cycle(point: Path) -> None:
    frame = pd.read_parquet(point / "cycles.parquet")
    frame.iloc[:-1].to_parquet(point / "cycles.parquet")


def test_a_sound_sweep_has_no_problem(folder: Path) -> None:
    assert problems(folder, metric_keys(folder)) == []
    assert leftovers(folder) == []
    (rows,) = counts(folder).values()
    assert {row[0] for row in rows} == {"baseline", "speculative"}


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda point: _cut(point / "cycles.parquet"), "Arrow"),
        (lambda point: _cut(point / "environment.json"), "JSONDecodeError"),
        (lambda point: (point / "requests.parquet").unlink(), "no requests.parquet"),
        (lambda point: (point / "error.json").write_text('{"message": "x"}'), "and an error"),
        (lambda point: point.rename(point.parent / ("0" * 16)), "holds"),
        (_drop_a_figure, "lacks summary.alpha"),
        (_lose_a_cycle, "differ in tokens"),
        (lambda point: _cut(point.parent.parent / "sweep.json"), "sweep.json"),
    ],
)
def test_each_damage_is_found(folder: Path, damage: Callable[[Path], None], named: str) -> None:
    wanted = metric_keys(folder)
    (point,) = (folder / "points").iterdir()
    damage(point)
    assert any(named in problem for problem in problems(folder, wanted))


def test_what_is_being_written_is_no_point(folder: Path) -> None:
    (folder / "points" / ".aside-abc-1").mkdir()
    assert problems(folder) == []
    assert leftovers(folder) == [".aside-abc-1"]
