"""The order in which the arms take turns."""

import gc
from collections.abc import Sequence

from dspark_bench.core.protocols import Load
from dspark_bench.core.types import Request, RunResult
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.turns import (
    cycle_frame,
    plan_turns,
    plan_warmup,
    repeat_seed,
    run_turns,
)

_REQUESTS = [Request(n, f"p{n}", "math", (1, 2), 4) for n in range(3)]


def test_batch_one_alternates_request_by_request() -> None:
    turns = plan_turns(_REQUESTS, is_one_by_one=True, num_repeats=2, seed=0)
    assert "".join(turn.arm[0] for turn in turns) == "bssbbssbbssb"
    assert [turn.block for turn in turns] == [n // 2 for n in range(12)]
    assert all(len(turn.requests) == 1 for turn in turns)


def test_larger_batches_alternate_whole_request_sets() -> None:
    turns = plan_turns(_REQUESTS, is_one_by_one=False, num_repeats=3, seed=0)
    assert "".join(turn.arm[0] for turn in turns) == "bssbbs"
    assert all(turn.requests == tuple(_REQUESTS) for turn in turns)


def test_arms_of_a_pair_share_noise_and_repeats_do_not() -> None:
    turns = plan_turns(_REQUESTS, is_one_by_one=True, num_repeats=3, seed=7)
    for first, second in zip(turns[::2], turns[1::2], strict=True):
        assert (first.repeat, first.requests, first.seed) == (
            second.repeat,
            second.requests,
            second.seed,
        )
    assert len({turn.seed for turn in turns}) == 3
    assert repeat_seed(0, 1) != repeat_seed(1, 0)


def test_warmup_runs_both_arms_and_is_flagged() -> None:
    turns = plan_warmup(_REQUESTS, 2, seed=0)
    assert [turn.arm for turn in turns] == ["baseline", "speculative"]
    assert all(turn.is_warmup and len(turn.requests) == 2 for turn in turns)
    assert plan_warmup(_REQUESTS, 0, seed=0) == []


class _Spy:
    def __init__(self) -> None:
        self.saw_collector: list[bool] = []

    def run(self, requests: Sequence[Request], load: Load, seed: int) -> RunResult:
        self.saw_collector.append(gc.isenabled())
        return RunResult()


def test_no_garbage_collection_while_a_turn_runs_and_none_lost_after() -> None:
    spy = _Spy()
    between: list[bool] = []
    turns = plan_turns(_REQUESTS, True, 1, seed=0)
    done = run_turns(
        turns,
        {"baseline": spy, "speculative": spy},
        ClosedLoad(1),
        lambda result: between.append(gc.isenabled()),
    )
    assert spy.saw_collector == [False] * 6
    assert between == [True] * 6
    assert len(done) == 6
    assert cycle_frame(done).empty
