"""The baseline against itself, by hand."""

import math

import pandas as pd
import pytest

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.more_units import Ending
from dspark_bench.metrics.noise_floor import (
    NoiseFloor,
    noise_floor,
    within_floor,
)
from dspark_bench.metrics.sums import Pooling
from tests.metrics.records import cycle, request


def _turns(seconds: list[list[float]], **values: object) -> pd.DataFrame:
    """One cycle of one token per baseline turn; seconds[repeat][place]. The other arm is slow."""
    rows = []
    for repeat, places in enumerate(seconds):
        for place, time_s in enumerate(places):
            key = {"repeat": repeat, "block": repeat * len(places) + place, "request_id": place}
            rows.append(cycle(arm="baseline", t_verify_s=time_s, **key, **values))
            rows.append(cycle(t_verify_s=77.0, **key, **values))
    return pd.DataFrame(rows)


_NONE = pd.DataFrame([request()])
_SECONDS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0)
_RATIO = (2 + 3 + 6 + 2 + 1 + 1) / (1 + 4 + 5 + 1 + 1 + 1)
"""Of turns on the sides 0 1 1 0 0 1, 1 0 0 1 1 0, with as many tokens."""


def test_prompts_cancel_over_two_repeats_and_drift_within_a_pair() -> None:
    """Prompts differ up to thirtyfold, and the second repeat is 10 % slower throughout."""
    first = [1.0, 30.0, 2.0, 9.0, 4.0, 4.0] * 2
    cycles = _turns([first, [1.1 * time_s for time_s in first]])
    found = noise_floor(cycles, _NONE, Pooling(4))
    # side 0: prompt 0 early, prompt 1 late, ...: 1+33 + 2+9.9 + 4+4.4; side 1: the others
    assert found.ratio.value == pytest.approx((1.1 + 30 + 2.2 + 9 + 4.4 + 4) / 54.3)
    assert found.basis == "6 pairs of prompts over two repeats"
    assert found.ratio.low is not None and found.ratio.low < 1


def test_turns_that_do_not_differ_at_all_were_not_measured() -> None:
    """No clock is that steady: a floor of 0 would call any difference real."""
    found = noise_floor(_turns([[1.0, 5.0] * 6] * 2), _NONE, Pooling(4))
    assert found.floor is None and found.ratio.n == 6
    assert found.basis.startswith("not measured: 6 pairs of prompts over two repeats do not differ")


def test_an_odd_repeat_and_an_odd_prompt_are_left_out() -> None:
    times = [[1.0] * 11 + [last, 9.0] for last in (1.1, 1.2)]
    odd = noise_floor(_turns([*times, [50.0] * 13]), _NONE, Pooling(4))
    assert (odd.ratio.value, odd.ratio.n) == (pytest.approx(12.1 / 12.2), 6)


def test_request_sets_pair_neighbouring_turns_with_sides_in_turn() -> None:
    cycles = _turns([[time_s] for time_s in _SECONDS], batch_size=2)
    found = noise_floor(cycles, _NONE, Pooling(4, concurrency=2))
    assert found.ratio.value == pytest.approx(_RATIO)
    assert found.basis == "6 pairs of baseline turns"
    ramp = noise_floor(_turns([[1.0]] * 12, batch_size=1), _NONE, Pooling(4, concurrency=2))
    assert ramp.floor is None  # no steady part


def test_open_loops_compare_times_per_token() -> None:
    rows = [
        request(arm="baseline", repeat=n, block=n, first_token_s=1.0, finished_s=1.0 + 2 * time_s)
        for n, time_s in enumerate(_SECONDS)
    ]
    cycles = _turns([[1.0]] * 12)
    found = noise_floor(cycles, pd.DataFrame(rows), Pooling(4, is_closed=False))
    assert found.ratio.value == pytest.approx(_RATIO)


def test_too_few_turns_are_not_measured_and_say_what_would_do() -> None:
    once = noise_floor(_turns([[1.0] * 10]), _NONE, Pooling(4))
    assert once.floor is None and once.as_row()["noise_floor"] is None
    assert once.basis == (
        "not measured: 5 pairs of neighbouring prompts of one domain, 6 needed "
        "(num_requests=24 or more)"
    )
    twice = noise_floor(_turns([[1.0] * 10] * 2), _NONE, Pooling(4))
    assert twice.basis.startswith("not measured: 5 pairs of prompts over two repeats, 6 needed")
    assert "measure.repeats=2 or more, and 12 prompts" in twice.basis
    turns = [[time_s] for time_s in _SECONDS]
    few = noise_floor(_turns(turns[:11], batch_size=2), _NONE, Pooling(4, concurrency=2))
    assert few.floor is None and few.basis == (
        "not measured: 5 pairs of baseline turns, 6 needed (measure.repeats=12 or more)"
    )
    ended = Pooling(4, concurrency=2, ending=Ending.PRECISION)
    assert (
        "measure.max_rounds=12" in noise_floor(_turns(turns[:11], batch_size=2), _NONE, ended).basis
    )
    empty = _turns([[1.0]]).iloc[:0]
    assert noise_floor(empty, _NONE.iloc[:0], Pooling(4)).floor is None


def test_floor_is_the_farthest_end_of_the_interval() -> None:
    assert NoiseFloor(Interval(1.0, 0.98, 1.03, 9), "").floor == pytest.approx(0.03)
    assert NoiseFloor(Interval(0.96, 0.95, 0.97, 9), "").floor == pytest.approx(1 / 0.95 - 1)
    content = NoiseFloor(Interval(1.1, 1.0, 1.21, 9), "").as_json()
    assert content["log_centre"] == pytest.approx(math.log(1.1)) == content["log_half_width"]


def test_within_the_floor_means_the_whole_interval() -> None:
    assert within_floor(Interval(1.01, 0.99, 1.02, 9), 0.02)
    assert not within_floor(Interval(1.01, 0.99, 1.03, 9), 0.02)
    assert not within_floor(Interval(0.99, 0.97, 1.0, 9), 0.02)
    assert within_floor(Interval(0.99, 1 / 1.02, 1.0, 9), 0.02)
    assert not within_floor(Interval(1.0, None, None, 1), 0.5)
    assert not within_floor(Interval(1.0, 1.0, 1.0, 9), None)


def test_prompts_that_are_served_once_pair_with_their_neighbour_of_one_domain() -> None:
    """Two rounds of six prompts, math and code by turns; each pair by hand."""
    seconds = [1.0, 9.0, 2.0, 8.0, 5.0, 5.0, 3.0, 7.0, 4.0, 6.0, 5.0, 5.0]
    rows, requests = [], []
    for place, time_s in enumerate([*seconds, *seconds, *seconds]):
        key = {"repeat": place // 6, "block": place, "request_id": place}
        rows.append(cycle(arm="baseline", t_verify_s=time_s, **key))
        domain = "math" if place % 2 == 0 else "code"
        requests.append(request(arm="baseline", domain=domain, **key))
    found = noise_floor(pd.DataFrame(rows), pd.DataFrame(requests), Pooling(4))
    # round by round, code then math: (9, 8), turned (1, 2); (7, 6), turned (3, 4); the third of
    # each is left out; the sides of the first domain of each round are as drawn
    sides = [(9, 8), (2, 1), (7, 6), (4, 3)] * 3
    ratio = sum(b for _, b in sides) / sum(a for a, _ in sides)
    assert found.ratio.n == 12
    assert found.ratio.value == pytest.approx(ratio)
    assert found.basis == "12 pairs of neighbouring prompts of one domain"
