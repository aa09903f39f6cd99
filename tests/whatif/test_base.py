"""Which points a prediction starts from."""

from pathlib import Path

import pytest

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.reading.gather import gather
from dspark_bench.reading.narrow import narrow
from dspark_bench.whatif.base import find_base
from tests.export.folders import point, write_counts
from tests.report.folders import write_sweep
from tests.whatif.folders import write_record


def test_acceptance_is_pooled_over_loads_and_copies_count_once(tmp_path: Path) -> None:
    rows = [point("a", 1.2, gamma=2), point("c", 0.9, gamma=2, concurrency=4)]
    for name in ("one", "two"):
        folder = write_sweep(tmp_path / "r" / name, rows)
        write_counts(folder, "a", 100, [80, 20], [20, 60])
        write_counts(folder, "c", 300, [120, 30], [180, 90])
    found = find_base(gather(tmp_path / "r")).acceptance(2)
    assert not isinstance(found, str)
    assert found.conditional == pytest.approx((200 / 400, 50 / 200))
    assert (found.gamma, found.num_cycles) == (2, 400)


def test_the_own_length_is_preferred_to_a_longer_one(tmp_path: Path) -> None:
    base = find_base(gather(write_record(tmp_path / "s")))
    assert (base.gammas, base.loads) == ((2, 4), (1, 4))
    own, cut, beyond = (base.acceptance(gamma) for gamma in (2, 3, 5))
    assert not isinstance(own, str) and not isinstance(cut, str)
    assert own.conditional == (0.5, 0.4) and cut.conditional == (0.6, 0.5, 0.5)
    assert isinstance(beyond, str)


def test_timing_that_is_invalid_leaves_acceptance_and_no_measured_s(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [point("a", 1.2, gamma=1, timing_invalid="true")])
    write_counts(folder, "a", 10, [5], [5])
    base = find_base(gather(folder))
    assert base.gammas == (1,) and base.measured(1, 1) is None


def test_drafts_that_may_fall_short_are_no_record(tmp_path: Path) -> None:
    """Though the first token was there in every cycle."""
    folder = write_sweep(tmp_path / "s", [point("a", 1.2, gamma=2, falls_short="true")])
    write_counts(folder, "a", 100, [80, 5], [20, 1])
    with pytest.raises((ResultsError, UsageError)):
        find_base(gather(folder))


def test_several_drafters_or_settings_have_to_be_narrowed(tmp_path: Path) -> None:
    rows = [
        point("a", 1.2, gamma=1),
        point("b", 1.2, gamma=1, drafter="ar", drafter_hash="ar"),
        point("c", 1.2, gamma=1, workload="code", prompts_hash="code"),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    for name in "abc":
        write_counts(folder, name, 10, [5], [5])
    with pytest.raises(UsageError, match=r"hold 3 drafters or settings \(semi_ar, math; ar, math;"):
        find_base(gather(folder))
    found = find_base(narrow(gather(folder), ["drafter=semi_ar", "workload=code"]))
    assert [item.point_id for item in found.points] == ["c"]


def test_chosen_verify_lengths_and_open_loops_are_no_record(tmp_path: Path) -> None:
    rows = [
        point("a", 1.2, gamma=1, scheduler="threshold"),
        point("b", 1.2, gamma=1, load="poisson", rate=2.0),
        point("c", 1.0, drafter="none"),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    for name in "abc":
        write_counts(folder, name, 10, [5], [5])
    with pytest.raises(ResultsError, match="no acceptance is recorded"):
        find_base(gather(folder))


def test_a_drafter_that_finds_nothing_at_times_is_no_record(tmp_path: Path) -> None:
    """Of 10 cycles 4 had no draft: what was decided says nothing about those."""
    folder = write_sweep(tmp_path / "s", [point("a", 1.2, gamma=1, drafter="ngram")])
    write_counts(folder, "a", 10, [4], [2])
    with pytest.raises(ResultsError, match="a drafter that always drafts gamma tokens"):
        find_base(gather(folder))


def test_drafters_without_a_record_are_named(tmp_path: Path) -> None:
    rows = [point("a", 1.2, gamma=1), point("b", 1.1, gamma=1, drafter="ngram")]
    folder = write_sweep(tmp_path / "s", rows)
    write_counts(folder, "a", 10, [5], [5])
    write_counts(folder, "b", 10, [4], [2])
    found = find_base(gather(folder))
    assert ([item.point_id for item in found.points], found.left_out) == (["a"], ("ngram",))
