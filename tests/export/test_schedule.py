"""Lengths and ranges by hand, and that they are what `recommend` found."""

from pathlib import Path

import numpy as np
import pytest

from dspark_bench.export.axis import load_axes
from dspark_bench.export.schedule import Schedule, schedule_of
from dspark_bench.reading.gather import gather
from dspark_bench.report.recommend import Recommendation, recommend
from tests.export.answers import answer, axis
from tests.export.folders import point, write_loads


def _of(*answers: Recommendation) -> Schedule:
    return schedule_of(axis(*answers))


def _lengths(found: Schedule) -> dict[int, int]:
    return {choice.requests: choice.length for choice in found.choices}


def test_ranges_end_at_measured_loads(tmp_path: Path) -> None:
    """Alone, 8 is a tenth ahead of 4; at 3, 8 and 4 are level; at 5 nothing pays."""
    rows = [
        point("a", 1.6, gamma=4),
        point("b", 1.76, gamma=8),
        point("c", 1.3, gamma=4, concurrency=3),
        point("d", 1.301, gamma=8, concurrency=3),
        point("e", 0.9, gamma=4, concurrency=5),
    ]
    (made,) = load_axes(recommend(gather(write_loads(tmp_path / "s", rows))))
    found = schedule_of(made)
    assert _lengths(found) == {1: 8, 3: 4, 5: 0}
    assert found.ranges == ((1, 1, 8), (2, 3, 4), (4, 5, 0))
    assert (found.reason, found.longest, found.most_requests) == (None, 8, 5)
    assert found.point is not None and found.point.point_id == "b"
    assert [choice.why.partition(" ")[0] for choice in found.choices] == ["the", "S", "the"]
    assert "the shortest of those level with the fastest" in found.choices[1].why
    assert "slower than no speculation" in found.choices[2].why


def test_neighbouring_ranges_of_one_length_are_joined() -> None:
    answers = [answer(point(f"p{load}", 1.5, concurrency=load)) for load in (8, 1, 2)]
    assert _of(*answers).ranges == ((1, 8, 4),)


def test_of_three_that_are_level_the_shortest_is_taken() -> None:
    rows = [point(f"g{gamma}", 1.5, gamma=gamma) for gamma in (5, 2, 3)]
    assert _lengths(_of(answer(*rows))) == {1: 2}


def test_a_shorter_draft_that_is_clearly_behind_is_not_taken() -> None:
    rows = [point("b", 1.5, gamma=8), point("a", 1.4, gamma=2)]
    assert _lengths(_of(answer(*rows, beaten="a"))) == {1: 8}


@pytest.mark.parametrize(
    ("values", "n", "why"),
    [
        ({"speedup_ci_low": 0.99}, 12, "is not clear of no speculation"),
        ({"noise_floor": 0.5}, 12, "within the timing noise floor (50.0%)"),
        ({"speedup_ci_low": ""}, 12, "is not clear of no speculation"),
        ({}, 5, "5 units, no verdict below 6"),
    ],
)
def test_where_s_is_not_clear_above_1_nothing_is_drafted(
    values: dict[str, object], n: int, why: str
) -> None:
    found = _of(answer(point("a", 1.2, **values), n=n))
    assert _lengths(found) == {1: 0} and found.point is None
    assert why in found.choices[0].why


def test_a_length_whose_own_s_is_not_clear_is_no_answer_to_a_tie() -> None:
    """Level with the longer one, but only that one is clear of no speculation."""
    rows = [point("b", 1.1, gamma=4), point("a", 1.1, gamma=2, speedup_ci_low=0.98)]
    assert _lengths(_of(answer(*rows))) == {1: 4}


def test_without_a_load_axis_there_is_a_reason_and_still_a_length() -> None:
    alone = _of(answer(point("a", 1.5)))
    assert alone.ranges == () and _lengths(alone) == {1: 4}
    assert "only 1 request at a time was measured; load.concurrency=1,4,16" in str(alone.reason)


def test_batches_below_the_smallest_load_are_not_guessed() -> None:
    found = _of(*(answer(point(f"p{load}", 1.5, concurrency=load)) for load in (4, 8)))
    assert found.ranges == () and _lengths(found) == {4: 4, 8: 4}
    assert "the smallest load measured is 4 requests at once" in str(found.reason)


def test_simulated_acceptance_is_no_measurement() -> None:
    found = _of(answer(point("a", 1.5), keys={"acceptance": "forced"}))
    assert found.choices == () and "simulated (acceptance=forced)" in str(found.reason)


def test_an_open_loop_sets_no_batch() -> None:
    rows = [point(f"r{rate}", 1.5, load="poisson", rate=rate, concurrency=64) for rate in (2, 4)]
    found = _of(*map(answer, rows))
    assert (found.choices, found.ranges) == ((), ())
    assert "load=poisson sets a rate of arrivals, not a batch" in str(found.reason)


@pytest.mark.parametrize(("gamma", "is_answered"), [(2, False), (8, True)])
def test_what_cannot_be_compared_matters_only_if_it_is_shorter(
    gamma: int, is_answered: bool
) -> None:
    rows = [point("b", 1.6, gamma=5), point("a", 1.5), point("c", 1.3, gamma=gamma)]
    found = _of(answer(*rows, beaten="a", unpaired="c"))
    assert (_lengths(found) == {1: 5}) is is_answered
    if not is_answered:
        assert found.choices == () and "gamma 2 with fixed cannot be compared" in str(found.reason)


def test_a_scheduler_that_is_ahead_of_every_length_is_no_length() -> None:
    rows = [point("b", 2.0, scheduler="hardware_aware"), point("a", 1.5)]
    found = _of(answer(*rows, beaten="a"))
    assert found.choices == ()
    assert "semi_ar at gamma 4 with hardware_aware (S 2.00" in str(found.reason)
    assert _lengths(_of(answer(*rows))) == {1: 4}


def test_one_server_holds_one_drafter() -> None:
    """`ar` is level alone, and `semi_ar` is at both loads: `semi_ar`, whoever is ahead by luck."""
    other = {"gamma": 2, "drafter": "ar", "drafter_hash": "ar"}
    at_4 = answer(
        point("c", 1.5, concurrency=4), point("d", 1.2, concurrency=4, **other), beaten="d"
    )
    level = answer(point("b", 1.6, **other), point("a", 1.5))
    assert _lengths(_of(level, at_4)) == {1: 4, 4: 4}
    found = _of(answer(point("b", 1.6, **other), point("a", 1.5), beaten="a"), at_4)
    assert found.choices == ()
    assert "no one drafter is level with the fastest at every load" in str(found.reason)
    assert "narrow the results, such as drafter=" in str(found.reason)


def test_of_drafters_that_are_level_everywhere_the_more_frequent_winner_is_loaded() -> None:
    other = {"gamma": 2, "drafter": "ar", "drafter_hash": "ar"}
    rows = [(point("a", 1.5), point("b", 1.5, **other))]
    rows += [(point(f"c{n}", 1.5, concurrency=n, **other), point(f"d{n}", 1.5)) for n in (2, 4)]
    answers = [
        answer(first, second | {"concurrency": first["concurrency"]}) for first, second in rows
    ]
    found = _of(*answers)
    assert _lengths(found) == {1: 2, 2: 2, 4: 2}
    assert found.point is not None and found.point.text("drafter") == "ar"


@pytest.mark.parametrize("seed", range(2))
def test_lengths_agree_with_recommend(tmp_path: Path, seed: int) -> None:
    """Speeds drawn so that some lengths are level and some loads do not pay."""
    random = np.random.default_rng(seed)
    rows = [
        point(f"c{load}g{gamma}", float(random.choice([0.9, 1.2, 1.2005, 1.4])), gamma=gamma)
        | {"concurrency": load}
        for load, gammas in ((1, (2, 4, 8)), (2, (3, 5)))
        for gamma in gammas
    ]
    answers = recommend(gather(write_loads(tmp_path / "s", rows)))
    found = _of(*answers)
    assert found.reason is None
    for choice, told in zip(found.choices, answers, strict=True):
        best = {told.winner.point.row["gamma"]}
        best |= {other.candidate.point.row["gamma"] for other in told.ties}
        assert all(other.is_paired for other in told.challengers)
        assert choice.length == (min(best) if told.beats_baseline else 0)
