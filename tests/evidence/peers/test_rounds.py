"""Turns are balanced, ratios are of pooled speeds by round, and equal means equal throughout."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest

from dspark_bench.evidence.peers.process import Answer
from dspark_bench.evidence.peers.rounds import num_equal, ratio, speed, take_turns, turns


def answer(seconds: float, *tokens: tuple[int, ...]) -> Answer:
    return Answer(seconds, tokens or ((1, 2), (3, 4)))


@pytest.mark.parametrize(
    ("num_arms", "least", "num_rounds"), [(6, 6, 6), (6, 10, 12), (5, 10, 10), (4, 1, 4), (3, 6, 6)]
)
def test_turns_are_balanced(num_arms: int, least: int, num_rounds: int) -> None:
    plan = turns(num_arms, least)
    assert len(plan) == num_rounds
    assert all(sorted(row) == list(range(num_arms)) for row in plan)
    places = Counter((place, arm) for row in plan for place, arm in enumerate(row))
    assert set(places.values()) == {num_rounds // num_arms} and len(places) == num_arms**2
    behind = Counter(pair for row in plan for pair in pairwise(row))
    assert len(set(behind.values())) == 1 and len(behind) == num_arms * (num_arms - 1)


class Recorder:
    """Answers with its own count of turns as seconds."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log, self.seconds = name, log, 0.0

    def serve(self, prompts: Sequence[Sequence[int]], limit_s: float) -> Answer:
        self.log.append(self.name)
        self.seconds += 1
        return Answer(self.seconds, tuple(map(tuple, prompts)))


def test_each_arm_serves_once_a_round_and_the_first_round_is_not_kept() -> None:
    log: list[str] = []
    told: list[tuple[int, int]] = []
    workers = {name: Recorder(name, log) for name in "abc"}
    found = take_turns(workers, [[7]], 3, 1.0, lambda done, of: told.append((done, of)))
    assert set(found) == set("abc")
    assert all([one.seconds for one in kept] == [2.0, 3.0, 4.0] for kept in found.values())
    orders = ["".join(log[first : first + 3]) for first in range(0, 12, 3)]
    assert orders[0] == orders[1] and len(set(orders)) == 3
    assert all(sorted(row) == list("abc") for row in orders)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_speed_is_pooled_and_ratios_are_paired_by_round() -> None:
    ours = [answer(time_s) for time_s in (1.0, 2.0, 3.0, 1.0, 2.0, 3.0)]
    theirs = [answer(2 * one.seconds * wobble) for one, wobble in zip(ours, _WOBBLE, strict=True)]
    assert speed(ours) == 24 / 12
    found = ratio(ours, theirs)
    assert found.value == pytest.approx(2.0, rel=0.01) and found.n == 6
    assert found.low is not None and found.low > 1.95  # unpaired it reaches below 1


_WOBBLE = (1.0, 1.01, 0.99, 1.0, 0.99, 1.01)


def test_equal_outputs_are_those_that_never_differ() -> None:
    steady = [answer(1.0, (1, 2), (3, 4), (5,)), answer(1.0, (1, 2), (3, 4), (5,))]
    other = [answer(1.0, (1, 2), (3, 4), (5, 6)), answer(1.0, (1, 2), (3, 9), (5, 6))]
    assert num_equal(steady, steady) == 3
    assert num_equal(other, steady) == 1
    assert num_equal(other, other) == 2
