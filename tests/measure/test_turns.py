"""The order in which the arms take turns, and what becomes of one that fails."""

import gc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from dspark_bench.core.random_streams import noise_block, request_key
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.measure.turns import (
    Order,
    TurnResult,
    cycle_frame,
    plan_round,
    plan_warmup,
    repeat_seed,
    request_frame,
    run_together,
    run_turns,
)
from tests.cycles import cycle_record

_REQUESTS = [Request(n, f"p{n}", "math", (1, 2), 4) for n in range(3)]
_ALONE = [(request,) for request in _REQUESTS]
_TWO = Order((("baseline", "x"), ("x", "baseline")), {"baseline": 7, "x": 7})
_THREE = Order(
    (("baseline", "x", "y"), ("x", "y", "baseline"), ("y", "baseline", "x")),
    {"baseline": 7, "x": 7, "y": 8},
)


def test_arms_alternate_request_by_request_and_on_into_the_next_round() -> None:
    turns = [*plan_round(0, _ALONE, _TWO, 0), *plan_round(1, _ALONE, _TWO, 3)]
    assert "".join(turn.arm[0] for turn in turns) == "bxxbbxxbbxxb"
    assert [turn.block for turn in turns] == [n // 2 for n in range(12)]
    assert [turn.number for turn in turns] == list(range(12))
    assert [turn.repeat for turn in turns] == [0] * 6 + [1] * 6
    assert all(len(turn.requests) == 1 for turn in turns)


def test_each_arm_serves_every_set_once_in_the_order_of_its_row() -> None:
    turns = plan_round(2, [_REQUESTS], _THREE, 4)
    assert [turn.arm for turn in turns] == ["x", "y", "baseline"]  # row 4 of three
    assert all(turn.requests == tuple(_REQUESTS) for turn in turns)
    assert [turn.number for turn in turns] == [12, 13, 14]


def test_arms_of_one_seed_share_noise_and_rounds_do_not() -> None:
    for repeat in range(3):
        seeds = {turn.arm: turn.seed for turn in plan_round(repeat, [_REQUESTS], _THREE, 0)}
        assert seeds["baseline"] == seeds["x"] == repeat_seed(7, repeat)
        assert seeds["y"] == repeat_seed(8, repeat)
    seeds_of_all = [repeat_seed(seed, repeat) for seed in range(-3, 9) for repeat in range(-3, 40)]
    assert len(set(seeds_of_all)) == len(seeds_of_all)


def test_rounds_meet_noise_of_their_own_and_arms_the_same() -> None:
    """Down to the numbers that requests draw."""
    turns = [turn for n in range(4) for turn in plan_round(n, _ALONE[:1], _TWO, n)]
    turns += plan_warmup(_REQUESTS, 1, _TWO)
    keys = [request_key(turn.seed, turn.requests[0].request_id) for turn in turns]
    drawn = [noise_block(key, 0, 3, 2) for key in keys]
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        assert np.array_equal(first, second)
    assert np.unique(np.stack(drawn[::2])).size == 5 * 3 * 5


def test_warmup_runs_every_arm_and_is_flagged() -> None:
    turns = plan_warmup(_REQUESTS, 2, _THREE)
    assert [turn.arm for turn in turns] == ["baseline", "x", "y"]
    assert all(turn.is_warmup and len(turn.requests) == 2 for turn in turns)
    assert plan_warmup(_REQUESTS, 0, _THREE) == []


class _Spy:
    """Emits two tokens in as many cycles; raises in its turn number `fails_at`."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.saw_collector: list[bool] = []
        self.fails_at = fails_at

    def run(self, requests: Sequence[Request], seed: int) -> RunResult:
        *_, result = self.steps(requests, seed)
        return result

    def steps(self, requests: Sequence[Request], seed: int) -> Iterator[RunResult]:
        self.saw_collector.append(gc.isenabled())
        result = RunResult()
        for number in range(2):
            if len(self.saw_collector) - 1 == self.fails_at and number == 1:
                raise RuntimeError("broken")
            result.cycles.append(cycle_record(cycle=number, num_emitted=1))
            yield result


def test_no_garbage_collection_while_a_turn_runs_and_none_lost_after() -> None:
    spy = _Spy()
    between: list[bool] = []
    served = run_turns(
        plan_round(0, _ALONE, _TWO, 0),
        {"baseline": spy, "x": spy},
        lambda result: between.append(gc.isenabled()),
    )
    assert spy.saw_collector == [False] * 6
    assert between == [True] * 6
    assert len(served.done) == 6 and not served.errors


@pytest.mark.parametrize("is_together", [False, True])
def test_an_arm_that_raises_takes_no_further_turn_and_leaves_the_others(is_together: bool) -> None:
    broken, whole, base = _Spy(fails_at=0), _Spy(), _Spy()
    arms = {"baseline": base, "x": broken, "y": whole}
    sets = [_REQUESTS] if is_together else _ALONE
    turns = plan_round(0, sets, _THREE, 0)
    seen: list[TurnResult] = []
    if is_together:
        served = run_together(turns, arms, 1, _THREE.orders, seen.append)
    else:
        served = run_turns(turns, arms, seen.append)
    assert [str(error) for error in served.errors.values()] == ["broken"]
    assert list(served.errors) == ["x"] and len(broken.saw_collector) == 1
    assert {item.turn.arm for item in served.done} == {"baseline", "y"}
    assert len(served.done) == 2 * len(sets) and list(served.done) == seen
    assert all(len(item.result.cycles) == 2 for item in served.done)


def test_frames_say_round_set_and_place_of_every_record() -> None:
    spy = _Spy()
    served = run_turns(plan_round(1, _ALONE, _TWO, 3), {"baseline": spy, "x": spy}, lambda _: None)
    frame = cycle_frame(served.done)
    assert len(frame) == 12
    assert frame["turn"].tolist() == [n for n in range(6, 12) for _ in range(2)]
    assert frame["block"].tolist() == [n for n in (3, 4, 5) for _ in range(4)]
    assert set(frame["repeat"]) == {1} and not frame["is_warmup"].any()
    assert request_frame(served.done).empty
