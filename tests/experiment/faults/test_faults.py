"""The faults of `make bench-faults`, a few of each, on tiny models and forks of this process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dspark_bench.experiment.faults.contention import two_at_once
from dspark_bench.experiment.faults.limits import out_of_memory
from dspark_bench.experiment.faults.reference import Reference
from dspark_bench.experiment.faults.report import Tally, section
from dspark_bench.experiment.faults.signals import interrupts, kills
from dspark_bench.experiment.faults.storage import full_disk, read_only
from dspark_bench.experiment.faults.sweeps import Bench, Start, start_program
from tests.experiment.faults.forked import start_fork
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

_RESUMED = "then resumed to the same points and counts"
_ROWS_TOO_MANY = 1_000_000


def _bench(zoo: TinyZoo, work: Path, start: Start) -> Bench:
    kept = [o for o in tiny_overrides(zoo, work) if not o.startswith(("name=", "results_dir="))]
    return Bench(work, start, (*kept, "gamma=1,2"))


@pytest.fixture(scope="module")
def bench(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return _bench(tiny_zoo, tmp_path_factory.mktemp("faults"), start_fork)


@pytest.fixture(scope="module")
def reference(bench: Bench) -> Reference:
    return Reference.measure(bench)


def test_killed_sweeps_leave_whole_points_and_resume(bench: Bench, reference: Reference) -> None:
    tally = kills(bench, reference, 3, np.random.default_rng(3))
    assert (tally.n, tally.problems) == (3, [])
    assert tally.outcomes[_RESUMED] >= 1


def test_ctrl_c_ends_with_130_and_leaves_nothing_half_written(
    bench: Bench, reference: Reference
) -> None:
    tally = interrupts(bench, reference, 2, np.random.default_rng(1))
    assert (tally.n, tally.problems) == (2, [])
    assert tally.outcomes[_RESUMED] >= 2


def test_a_full_disk_is_named_and_costs_no_finished_point(
    bench: Bench, reference: Reference
) -> None:
    tally = full_disk(bench, reference, rooms_kib=(24,))
    assert tally.problems == []
    assert tally.outcomes["refused at once, exit 2"] == 1


def test_the_second_of_two_sweeps_is_refused(bench: Bench, reference: Reference) -> None:
    tally = two_at_once(bench, reference, 1, np.random.default_rng(0))
    assert tally.problems == []
    assert tally.outcomes["one ends well, one is refused, exit 2"] == 1


def test_a_point_without_memory_fails_alone(bench: Bench) -> None:
    tally = out_of_memory(bench, _ROWS_TOO_MANY)
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
    bench = _bench(tiny_zoo, tmp_path, start_program)
    tally = inflict(bench, Reference.measure(bench))
    assert tally.problems == []
    assert tally.n >= 3


def test_the_section_counts_outcomes_and_names_problems() -> None:
    tally = Tally("kill -9", "at random", n=2)
    tally.outcomes.update({"resumed": 1, "lost": 1})
    assert "No problem was found." in section([tally], "about")
    tally.expect(False, "a point is gone")
    text = section([tally], "about")
    assert "| kill -9 | at random | 2 | resumed: 1; lost: 1 | 1 |" in text
    assert "- kill -9: a point is gone" in text
