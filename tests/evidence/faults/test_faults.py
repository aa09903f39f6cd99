"""The faults of `make bench-faults`, a few of each, on tiny models and forks of this process."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from dspark_bench.evidence.faults.contention import killed_worker, two_at_once
from dspark_bench.evidence.faults.inspection import counts, leftovers, metric_keys, problems
from dspark_bench.evidence.faults.limits import out_of_memory
from dspark_bench.evidence.faults.reference import Reference
from dspark_bench.evidence.faults.report import Tally, section
from dspark_bench.evidence.faults.signals import interrupts, kills
from dspark_bench.evidence.faults.storage import full_disk, read_only
from dspark_bench.evidence.faults.sweeps import Bench, start_program
from tests.evidence.faults.conftest import Sound, tiny_bench
from tests.tiny_models import TinyZoo

_ROOM_BYTES = 1 << 30
_RESUMED = "then resumed to the same points and counts"


@pytest.fixture
def folder(sound: Sound, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.folder, tmp_path / "copy"))


@pytest.mark.slow
def test_a_killed_sweep_leaves_whole_points_and_resumes(sound: Sound) -> None:
    """Aimed at a write by this seed; the slow tests below kill at other moments too."""
    tally = kills(sound.bench, sound.reference, 1, np.random.default_rng(3))
    assert (tally.n, tally.problems) == (1, [])
    assert tally.outcomes[_RESUMED] >= 1


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_leaves_nothing_half_written(sound: Sound) -> None:
    tally = interrupts(sound.bench, sound.reference, 1, np.random.default_rng(1))
    assert (tally.n, tally.problems) == (1, [])
    assert tally.outcomes[_RESUMED] >= 1


@pytest.mark.slow
def test_a_full_disk_is_named_and_costs_no_finished_point(sound: Sound) -> None:
    tally = full_disk(sound.bench, sound.reference, rooms_kib=(24,))
    assert tally.problems == []
    assert tally.outcomes["refused at once, exit 2"] == 1


@pytest.mark.slow
def test_the_second_of_two_sweeps_is_refused(sound: Sound) -> None:
    tally = two_at_once(sound.bench, sound.reference, 1, np.random.default_rng(0))
    assert tally.problems == []
    assert tally.outcomes["one ends well, one is refused, exit 2"] == 1


@pytest.mark.slow
def test_a_point_without_memory_fails_alone(sound: Sound) -> None:
    tally = out_of_memory(sound.bench, psutil.Process().memory_info().vms + _ROOM_BYTES)
    assert tally.problems == []
    assert tally.outcomes["named in error.json, the two others finished, exit 4"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "inflict",
    [
        lambda bench, reference: kills(bench, reference, 4, np.random.default_rng(5)),
        lambda bench, reference: interrupts(bench, reference, 4, np.random.default_rng(6)),
        read_only,
    ],
    ids=["kills", "interrupts", "read_only"],
)
def test_the_program_itself_survives(
    tiny_zoo: TinyZoo, tmp_path: Path, inflict: Callable[[Bench, Reference], Tally]
) -> None:
    bench = tiny_bench(tiny_zoo, tmp_path, start_program)
    tally = inflict(bench, Reference.measure(bench))
    assert tally.problems == []
    assert tally.n >= 3


@pytest.mark.slow
def test_the_points_of_a_crashed_worker_are_named(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    bench = tiny_bench(tiny_zoo, tmp_path, start_program)
    tally = killed_worker(bench, Reference.measure(bench), 1)
    assert (tally.n, tally.problems) == (1, [])
    assert tally.outcomes["lost points named, exit 4"] == 1


def test_the_section_counts_outcomes_and_names_problems() -> None:
    tally = Tally("kill -9", "at random", n=2)
    tally.outcomes.update({"resumed": 1, "lost": 1})
    assert "No problem was found." in section([tally], "about", "1a2b3c4")
    tally.expect(False, "a point is gone\nand its log")
    text = section([tally], "about", "1a2b3c4")
    assert "| kill -9 | at random | 2 | resumed: 1; lost: 1 | 1 | 1a2b3c4 |" in text
    assert "- kill -9: a point is gone\n" in text
    assert "No problem was found." not in text


def test_chosen_faults_replace_their_own_rows_only() -> None:
    first, second = Tally("kill -9", "at random", n=2), Tally("full disk", "small", n=1)
    first.expect(False, "a point is gone")
    second.expect(False, "it hangs")
    before = section([first, second], "three points", "1a2b3c4")
    text = section([Tally("full disk", "smaller", n=4)], "four points", "5d6e7f8", before)
    assert "three points" in text and "four points" not in text
    assert text.index("| kill -9 | at random | 2 |  | 1 | 1a2b3c4 |") < text.index(
        "| full disk | smaller | 4 |  | 0 | 5d6e7f8 |"
    )
    assert "- kill -9: a point is gone" in text and "it hangs" not in text


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
    found = counts(folder)
    assert len(found) == 2
    for rows in found.values():
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
    point = min((folder / "points").iterdir())
    damage(point)
    assert any(named in problem for problem in problems(folder, wanted))


def test_what_is_being_written_is_no_point(folder: Path) -> None:
    (folder / "points" / ".aside-abc-1").mkdir()
    assert problems(folder) == []
    assert leftovers(folder) == [".aside-abc-1"]
