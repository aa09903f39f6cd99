"""Admission under load: limits that end a run, and loads that bring nothing or count wrongly."""

import math
from collections import Counter

import pytest

from dspark_bench.core.clock import device_clock
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Load
from dspark_bench.core.records import RunLimits, RunResult
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.batcher import Batcher
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.loads.constant import ConstantLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny

NO_LIMITS = RunLimits()


class Puppet:
    """A load that says what it is told to."""

    max_concurrency = 2

    def __init__(self, due: float = 0, event: float | None = None, scheduled: float = 0.0) -> None:
        self._due, self._event, self._scheduled = due, event, scheduled

    def start(self, num_requests: int) -> None:
        pass

    def due(self, now_s: float, num_finished: int) -> int:
        return self._due  # type: ignore[return-value]

    def scheduled_s(self, index: int, now_s: float) -> float:
        return self._scheduled

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        return self._event


class Falling(Puppet):
    """Takes back what it said."""

    def due(self, now_s: float, num_finished: int) -> int:
        return 1 if num_finished == 0 else 0


def run(load: Load, count: int = 3, limits: RunLimits = NO_LIMITS) -> RunResult:
    engine = Engine(
        tiny.target(),
        None,
        FixedScheduler(),
        ExactAcceptance(),
        SamplingParams(),
        4,
        EngineConfig(2, 128, limits),
        device_clock(tiny.CPU),
    )
    return engine.run(tiny.requests(count, 8), load, 0)


def reasons(result: RunResult) -> Counter[str]:
    return Counter(record.finish_reason for record in result.requests)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (Puppet(event=None), r"Puppet\.next_event_s gave None while nothing runs and 0 of 3 "),
        (Puppet(event=math.inf), r"Puppet\.next_event_s gave inf"),
        (Puppet(event=math.nan), r"Puppet\.next_event_s gave nan"),
        (Puppet(event=-5.0), r"Puppet promised a request at .* none has come \(0 of 3"),
        (Puppet(due=4), r"Puppet\.due gave 4; valid: .* 0 to 3"),
        (Puppet(due=math.nan), r"Puppet\.due gave nan"),
        (Puppet(due=0.5), r"Puppet\.due gave 0\.5"),
        (Puppet(due=-1), r"Puppet\.due gave -1"),
        (Falling(), r"Falling\.due gave 0; valid: .* never falls, now 1 to 3"),
        (Puppet(due=1, scheduled=math.nan), r"Puppet\.scheduled_s gave nan for request 0"),
        (Puppet(due=1, scheduled=9.0), r"Puppet\.scheduled_s gave 9\.0 for request 0"),
        (Puppet(due=1), r"Puppet\.next_event_s gave None while nothing runs and 1 of 3"),
    ],
)
def test_a_load_that_misbehaves_is_named(load: Load, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(load)


def test_a_load_without_a_place_is_named() -> None:
    load = Puppet()
    load.max_concurrency = 0
    with pytest.raises(UsageError, match=r"Puppet\.max_concurrency is 0; valid: 1 or more"):
        run(load)


def test_what_waits_at_the_end_of_a_turn_is_recorded() -> None:
    result = run(ConstantLoad(1e6, 2), 40, RunLimits(max_turn_s=0.002))
    found = reasons(result)
    assert len(result.requests) == 40
    assert {record.request_id for record in result.requests} == set(range(40))
    assert found["stopped"] > 0
    assert result.stop_reason == "max_turn_s"
    for record in result.requests:
        was_served = record.finish_reason in ("eos", "length")
        assert bool(record.output_tokens) == was_served
        assert math.isnan(record.first_token_s) != was_served


def test_a_turn_that_ends_while_idle_names_what_never_came() -> None:
    result = run(ConstantLoad(0.5, 2), 3, RunLimits(max_turn_s=0.1))
    assert reasons(result)["not_sent"] == 2
    assert result.wall_s < 1.5


def test_a_full_queue_turns_the_newest_away() -> None:
    result = run(ConstantLoad(1e6, 2), 10, RunLimits(max_waiting=3))
    turned_away = [r.request_id for r in result.requests if r.finish_reason == "rejected"]
    assert turned_away and min(turned_away) >= 2
    assert len(result.requests) == 10
    assert result.stop_reason == "max_waiting"
    assert max(cycle.num_waiting for cycle in result.cycles) <= 3


def test_without_limits_every_request_is_served() -> None:
    result = run(ConstantLoad(1e6, 2), 10)
    assert result.stop_reason is None
    assert set(reasons(result)) <= {"eos", "length"}


def test_a_backlog_ends_at_twice_the_last_arrival() -> None:
    batcher = Batcher(
        tiny.requests(4), ConstantLoad(0.025, 1), tiny.target().new_cache(1, 128), 0, 1, RunLimits()
    )
    batcher.admit(120.0)  # arrivals at 0, 40, 80 and 120 s
    assert (len(batcher.active), batcher.num_waiting) == (1, 3)
    batcher.admit(239.0)
    assert batcher.num_waiting == 3
    batcher.admit(240.0)
    assert [record.finish_reason for record in batcher.unserved] == ["stopped"] * 3
    assert [record.scheduled_s for record in batcher.unserved] == [40.0, 80.0, 120.0]
    batcher.retire(batcher.active)
    assert batcher.is_done


def test_a_closed_loop_never_waits_and_so_never_stops() -> None:
    result = run(ClosedLoad(2), 6, RunLimits(max_waiting=0))
    assert result.stop_reason is None


def test_cycles_start_where_the_one_before_ended() -> None:
    result = run(ClosedLoad(2), 3)
    by_number = {cycle.cycle: cycle for cycle in result.cycles}
    assert by_number[0].started_s == 0.0
    for number in range(1, len(by_number)):
        before = by_number[number - 1]
        ended_s = before.started_s + before.duration_s
        assert by_number[number].started_s == pytest.approx(ended_s, abs=1e-6)
