"""Two timed runs on one machine find out about each other."""

from pathlib import Path

from dspark_bench.measure.timing_lock import timing_lock


def test_a_run_alone_is_not_shared(tmp_path: Path) -> None:
    with timing_lock(tmp_path) as lock:
        assert not lock.is_shared
    assert list(tmp_path.iterdir()) == []


def test_overlap_marks_both_even_if_the_second_ends_first(tmp_path: Path) -> None:
    with timing_lock(tmp_path) as first:
        with timing_lock(tmp_path) as second:
            assert second.is_shared
        assert first.is_shared


def test_runs_one_after_the_other_do_not_overlap(tmp_path: Path) -> None:
    for _ in range(2):
        with timing_lock(tmp_path) as lock:
            assert not lock.is_shared


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "dead.lock").write_bytes(b"")
    with timing_lock(tmp_path) as lock:
        assert not lock.is_shared
    assert list(tmp_path.iterdir()) == []
