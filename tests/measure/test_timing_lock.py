"""Two timed runs on one machine find out about each other."""

from contextlib import ExitStack
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


def test_each_of_three_that_overlap_in_turn_knows(tmp_path: Path) -> None:
    """The second meets the first, and is met by the third after the first has ended."""
    with ExitStack() as first, ExitStack() as second:
        one = first.enter_context(timing_lock(tmp_path))
        two = second.enter_context(timing_lock(tmp_path))
        assert one.is_shared and two.is_shared
        first.close()
        with timing_lock(tmp_path) as three:
            assert three.is_shared
        second.close()
        with timing_lock(tmp_path) as four:
            assert not four.is_shared


def test_the_first_of_two_knows_after_the_second_has_ended(tmp_path: Path) -> None:
    with timing_lock(tmp_path) as first:
        assert not first.is_shared
        with timing_lock(tmp_path):
            pass
        assert first.is_shared
        first.look_around()
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
