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
from dspark_bench.metrics.units import STRETCH_TOKENS
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
_ONE = Pooling(4)
_SECONDS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0)
_RATIO = (2 + 3 + 6 + 2 + 1 + 1) / (1 + 4 + 5 + 1 + 1 + 1)
"""Of turns on the sides 0 1 1 0 0 1, 1 0 0 1 1 0, with as many tokens."""


def _answers(stretches: list[list[float]], num_prefills: int = 1) -> pd.DataFrame:
    """Baseline turns whose cycles emit a token each; stretches[turn][n]: seconds of each cycle of
    the nth 16 tokens. Reading the prompt emits the first of them, and takes 50 s.
    """
    rows = []
    for block, paces in enumerate(stretches):
        key = {"arm": "baseline", "repeat": block // 12, "block": block, "request_id": block}
        seconds = [pace for pace in paces for _ in range(STRETCH_TOKENS)]
        for number, time_s in enumerate(seconds):
            is_first = number < num_prefills
            more = {"t_verify_s": 50.0 if is_first else time_s, "has_prefill": is_first}
            rows.append(cycle(cycle=number, **key, **more))
    return pd.DataFrame(rows)


def test_the_halves_of_an_answer_by_hand() -> None:
    """Four stretches: 0 and 3 against 1 and 2, the other way round in every second answer. The
    first stretch has 15 tokens, since reading the prompt gave one.
    """
    found = noise_floor(_answers([[1.0, 2.0, 3.0, 4.0]] * 5 + [[1.0, 2.0, 3.0, 4.4]]), _NONE, _ONE)
    outer, inner = 15 * 1.0 + 16 * 4.0, 16 * (2.0 + 3.0)
    last = 15 * 1.0 + 16 * 4.4
    first, second = 3 * outer + 3 * inner, 3 * inner + 2 * outer + last
    tokens = (3 * 31 + 3 * 32) / (3 * 32 + 3 * 31)
    assert found.ratio.value == pytest.approx(tokens * second / first)
    assert found.ratio.n == 6
    assert found.basis == "6 answers of 32 tokens or more, each in halves"
    assert found.ratio.low is not None and found.ratio.low < 1


def test_a_steady_drift_makes_no_half_faster() -> None:
    """Each stretch is slower than the one before, on through all answers."""
    paces = [[1.0 + 0.01 * (2 * turn + n) for n in range(2)] for turn in range(12)]
    found = noise_floor(_answers(paces, num_prefills=0), _NONE, _ONE)
    assert found.ratio.value == pytest.approx(1.0, abs=1e-6)


def test_what_has_no_other_half_is_left_out() -> None:
    """A third stretch, a last one that is not whole, and answers of one stretch."""
    paces = [[1.0, 1.1, 9.0]] * 6 + [[7.0]]
    cycles = _answers(paces)
    cut = cycles[(cycles["block"] != 5) | (cycles["cycle"] < 2 * STRETCH_TOKENS - 1)]
    found = noise_floor(cut, _NONE, _ONE)
    assert found.ratio.n == 5 and found.basis.startswith("not measured: 5 answers of 32")
    whole = noise_floor(cycles, _NONE, _ONE)
    halves = 3 * 15 * 1.0 + 3 * 16 * 1.1
    assert whole.ratio.n == 6
    assert whole.ratio.value == pytest.approx(halves / halves)
    assert whole.floor is not None and whole.floor < 0.2


def test_halves_that_do_not_differ_at_all_were_not_measured() -> None:
    """No clock is that steady: a floor of 0 would call any difference real."""
    found = noise_floor(_answers([[1.0, 1.0]] * 6), _NONE, _ONE)
    assert found.floor is None and found.ratio.n == 6
    assert found.basis.startswith("not measured: 6 answers of 32 tokens or more, each in halves do")


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
    once = noise_floor(_answers([[1.0, 2.0]] * 5), _NONE, _ONE)
    assert once.floor is None and once.as_row()["noise_floor"] is None
    assert once.basis == (
        "not measured: 5 answers of 32 tokens or more, each in halves, 6 needed "
        "(num_requests=6 or more, and max_new_tokens=32 or more)"
    )
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
