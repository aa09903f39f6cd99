"""Every second is charged to a stage, and a block's are divided among its points."""

import time

import pytest

from dspark_bench.measure.stopwatch import STAGES, Stopwatch, spent_columns


def test_time_is_charged_to_its_stage_even_if_it_ends_in_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter([0.0, 2.0, 10.0, 13.0, 20.0, 24.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    watch = Stopwatch()
    with watch.at("turns"):
        pass
    with pytest.raises(RuntimeError), watch.at("checks"):
        raise RuntimeError
    with watch.at("turns"):
        pass
    assert watch.shares(1) == dict.fromkeys(STAGES, 0.0) | {"turns": 6.0, "checks": 3.0}
    assert watch.shares(3)["turns"] == 2.0


def test_the_whole_of_a_point_is_its_part_of_the_block_and_its_own() -> None:
    nothing = dict.fromkeys(STAGES, 0.0)
    found = spent_columns(nothing | {"turns": 4.0}, nothing | {"turns": 1.0, "model": 2.5})
    assert (found["spent_turns_s"], found["spent_model_s"], found["wall_s"]) == (5.0, 2.5, 7.5)
    assert len(found) == len(STAGES) + 1
