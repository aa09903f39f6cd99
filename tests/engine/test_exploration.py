"""Cycles that draft and verify everything: how many, when, and what they are good for."""

from collections import Counter
from collections.abc import Sequence

import pytest
import torch

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext, Request, SamplingParams, SchedulerSpec
from dspark_bench.costs.profiled import ProfiledCost
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exploration import FIRST_BLOCK, Exploration
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.schedulers.goodput import GoodputScheduler
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler

GAMMA = 4
HARD, EASY = 0, 2
TARGET_LAW = torch.tensor([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]])
DRAFT_LAW = torch.tensor([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]])
REVEALING = torch.tensor([0.02, 0.02, 0.97, 0.97])
"""Texts of tokens 0 and 1 never accept a draft and say so; those of 2 and 3 always do."""
COST = ProfiledCost(
    CostSurface((1, 8), (0, 4), ((1.0, 1.8), (8.0, 14.4)), (4,), ((0.2,), (1.6,)), (0, 0), (0, 0))
)


class AsItIs:
    def calibrate(self, confidence: Floats) -> Floats:
        return confidence

    def observe(self, records: Sequence[CycleRecord]) -> None:
        pass


def engine(scheduler: Scheduler, concurrency: int = 1) -> Engine:
    return Engine(
        MarkovTarget(TARGET_LAW),
        MarkovDrafter(DRAFT_LAW, REVEALING, GAMMA),
        scheduler,
        ExactAcceptance(),
        SamplingParams(),
        GAMMA,
        EngineConfig(concurrency, 128),
        lambda: 0.0,
    )


def one_by_one(served: Engine, start: int, count: int, length: int = 25) -> list[CycleRecord]:
    """Decode cycles of `count` turns of one request each."""
    cycles: list[CycleRecord] = []
    for turn in range(count):
        request = Request(turn, str(turn), "", (start,), length)
        cycles += served.run([request], ClosedLoad(1), turn).cycles
    return [cycle for cycle in cycles if not cycle.is_prefill]


def test_one_cycle_of_every_block_explores_at_a_place_of_its_own() -> None:
    exploration = Exploration(20)
    explored = [n - FIRST_BLOCK for n in range(FIRST_BLOCK + 4000) if exploration.is_due()]
    assert explored[0] < 0
    assert [n // 20 for n in explored[1:]] == list(range(200))
    places = Counter(n % 20 for n in explored[1:])
    assert len(places) == 20 and max(places.values()) < 25  # mean 10


def test_the_first_blocks_are_short_and_none_is_longer_than_the_period() -> None:
    """By hand: 16, then a quarter of all cycles before more each time, up to 200."""
    ends = [16, 36, 61, 92, 131, 179, 239, 314, 408, 526, 673, 857, 1057, 1257]
    exploration = Exploration(200)
    explored = [n for n in range(ends[-1]) if exploration.is_due()]
    assert len(explored) == len(ends)
    for place, start, end in zip(explored, [0, *ends], ends, strict=False):
        assert start <= place < end


def test_a_run_of_sixteen_decode_cycles_has_one_of_full_width() -> None:
    """Under the period that schedulers have by default, wherever the run begins to count."""
    cycles = one_by_one(engine(Watched(200)), HARD, 1, length=FIRST_BLOCK + 1)
    assert len(cycles) == FIRST_BLOCK
    assert sum(cycle.full_width for cycle in cycles) == 1


def test_without_a_period_nothing_explores_and_with_one_everything_does() -> None:
    never, always = Exploration(0), Exploration(1)
    assert not any(never.is_due() for _ in range(300))
    assert all(always.is_due() for _ in range(300))


@pytest.mark.parametrize("length", [5, 10])
def test_answers_of_equal_length_are_explored_all_over(length: int) -> None:
    """Every answer has `length` decode cycles, and the period is twice that: no part is left out
    and none is met always.
    """
    exploration = Exploration(2 * length)
    explored = [n for n in range(400 * length) if exploration.is_due()]
    assert {n % length for n in explored} == set(range(length))


class Watched(FixedScheduler):
    """Would draft one token; remembers what it is asked."""

    def __init__(self, period: int) -> None:
        self.spec = SchedulerSpec("watched", is_selective=True, exploration_period=period)
        self.asked: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def plan_draft(self, context: PlanContext) -> list[int]:
        self.asked.append((context.request_ids, context.cycles))
        return [1] * len(context.request_ids)


def test_cycles_are_counted_over_turns_and_prompts_are_not() -> None:
    """Six turns of ten decode cycles: 60 cycles, of which one in 15 explores."""
    scheduler = Watched(15)
    cycles = one_by_one(engine(scheduler), HARD, 6, length=11)
    assert len(cycles) == 60
    explored = [place for place, cycle in enumerate(cycles) if cycle.full_width]
    assert [place // 15 for place in explored] == [0, 1, 2, 3]
    for place, cycle in enumerate(cycles):
        assert (cycle.num_drafted, cycle.verify_len) == ((4, 4) if place in explored else (1, 1))


def test_schedulers_are_asked_in_explored_cycles_too() -> None:
    """Who is new is seen in a request's first decode cycle, which may be an explored one."""
    scheduler = Watched(1)
    cycles = one_by_one(engine(scheduler), HARD, 2, length=4)
    assert all(cycle.full_width for cycle in cycles)
    assert scheduler.asked == [((turn,), (cycle,)) for turn in range(2) for cycle in (1, 2, 3)]


class Shy(Watched):
    """Would verify nothing."""

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        return [0] * len(draft_lens)


def test_explored_cycles_verify_what_a_scheduler_would_not() -> None:
    cycles = one_by_one(engine(Shy(15)), HARD, 6, length=11)
    explored = [cycle for cycle in cycles if cycle.num_drafted == GAMMA]
    assert len(explored) == 4
    assert all(cycle.full_width and cycle.verify_len == GAMMA for cycle in explored)
    assert {cycle.verify_len for cycle in cycles if cycle.num_drafted == 1} == {0}


@pytest.mark.parametrize("kind", ["hardware_aware", "goodput"])
def test_a_forecast_that_was_wrong_is_corrected(kind: str) -> None:
    """Hard texts teach a scheduler to draft nothing. Drafting nothing it sees nothing of the easy
    ones that follow, but for the cycles that explore.
    """

    def emitted(period: int) -> float:
        scheduler: Scheduler
        if kind == "goodput":
            scheduler = GoodputScheduler(COST, exploration_period=period)
        else:
            scheduler = HardwareAwareScheduler(COST, AsItIs(), exploration_period=period)
        served = engine(scheduler)
        hard = one_by_one(served, HARD, 10)
        assert sum(cycle.num_drafted for cycle in hard[-80:]) < 80 * GAMMA / 4
        easy = one_by_one(served, EASY, 24)
        return sum(cycle.num_emitted for cycle in easy[-20:]) / 20

    assert emitted(0) == 1.0
    assert emitted(20) > 4


def test_a_batch_explores_together_and_marks_those_that_decode() -> None:
    requests = [Request(n, str(n), "", (EASY,), 12 + 3 * n) for n in range(9)]
    cycles = engine(Watched(4), concurrency=3).run(requests, ClosedLoad(3), 0).cycles
    batches: dict[int, list[CycleRecord]] = {}
    for cycle in cycles:
        batches.setdefault(cycle.cycle, []).append(cycle)
    decoding = {n: [c for c in batch if not c.is_prefill] for n, batch in batches.items()}
    assert any(len(batch) > len(decoding[n]) > 0 for n, batch in batches.items())
    for n, batch in batches.items():
        assert not any(cycle.full_width for cycle in batch if cycle.is_prefill)
        assert len({cycle.full_width for cycle in decoding[n]}) <= 1
    assert sum(any(cycle.full_width for cycle in batch) for batch in decoding.values()) >= 4
