"""Engines at work side by side: equal progress, and each as if it were alone."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from dspark_bench.core.records import CycleRecord, RunResult
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.interleave import interleave
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny
from tests.cycles import cycle_record


def emitting(name: str, tokens: list[int], order: list[str]) -> Iterator[RunResult]:
    """A run that emits so many tokens in each cycle, and writes down when it works."""
    result = RunResult()
    for number, count in enumerate(tokens):
        order.append(name)
        result.cycles.append(cycle_record(cycle=number, num_emitted=count))
        yield result
    yield RunResult([], result.cycles, float(sum(tokens)))


def test_arms_hand_over_after_equally_many_tokens() -> None:
    order: list[str] = []
    runs = {
        "slow": emitting("s", [1] * 6, order),
        "fast": emitting("f", [3, 3], order),
        "short": emitting("o", [2], order),
    }
    results, _ = interleave(runs, 2)
    # pass 1 from "slow", pass 2 from "fast", which is ahead; "short" and then "fast" drop out
    assert "".join(order) == "ssfofssss"
    assert [result.wall_s for result in results.values()] == [6.0, 6.0, 2.0]
    assert len(results["slow"].cycles) == 6


def test_what_an_arm_overshoots_counts_for_its_next_turn() -> None:
    """Five tokens a cycle, turns of 16: it hands over at 20, 35 and 50, not at 20, 40 and 60."""
    order: list[str] = []
    runs = {"many": emitting("m", [5] * 12, order), "one": emitting("o", [1] * 60, order)}
    interleave(runs, 16, (("many", "one"),))
    turns = ["".join(part) for _, part in itertools.groupby(order)]
    assert [len(turn) for turn in turns[:6]] == [4, 16, 3, 16, 3, 16]


def test_no_runs_have_no_results() -> None:
    assert interleave({}, 10) == ({}, {})


def test_engines_side_by_side_give_what_they_give_alone() -> None:
    """By a clock that goes on while the others work: it takes none of an engine's time."""
    served = tiny.requests(5)
    ticks = itertools.count()

    def engine(gamma: int) -> Engine:
        drafter, limits = tiny.drafter("semi_ar_vanilla"), EngineConfig(2, 128)
        return Engine(
            tiny.target(), drafter, FixedScheduler(), ExactAcceptance(), SamplingParams(), gamma,
            limits, lambda: float(next(ticks)),
        )  # fmt: skip

    alone = {str(gamma): engine(gamma).run(served, ClosedLoad(2), 3) for gamma in (1, 3)}
    runs = {str(gamma): engine(gamma).steps(served, ClosedLoad(2), 3) for gamma in (1, 3)}
    together, _ = interleave(runs, 4)
    for gamma, result in alone.items():
        assert tiny.outputs(together[gamma]) == tiny.outputs(result)
        assert together[gamma].wall_s == result.wall_s
        assert [timeless(c) for c in together[gamma].cycles] == [timeless(c) for c in result.cycles]


def timeless(record: CycleRecord) -> CycleRecord:
    return replace(record, cpu_busy=0.0)
