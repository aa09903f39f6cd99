"""The order in which the arms take turns."""

import gc
from collections.abc import Sequence

import numpy as np

from dspark_bench.core.protocols import Load
from dspark_bench.core.random_streams import noise_block, request_key
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
    for turn in turns:
        assert turn.seed == repeat_seed(7, turn.repeat)
    seeds = [repeat_seed(seed, repeat) for seed in range(-3, 9) for repeat in range(-3, 40)]
    assert len(set(seeds)) == len(seeds)  # no repeat shares noise with another, nor with warm-up


def test_repeats_meet_noise_of_their_own_and_arms_the_same() -> None:
    """Down to the numbers that requests draw."""
    turns = plan_turns(_REQUESTS[:1], is_one_by_one=True, num_repeats=4, seed=0)
    turns += plan_warmup(_REQUESTS, 1, seed=0)
    keys = [request_key(turn.seed, turn.requests[0].request_id) for turn in turns]
    drawn = [noise_block(key, 0, 3, 2) for key in keys]
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        assert np.array_equal(first, second)
    assert np.unique(np.stack(drawn[::2])).size == 5 * 3 * 5


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
