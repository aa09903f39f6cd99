"""What is computed for the records alone takes no stage's time, and none of the run's."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dspark_bench.core.protocols import Acceptance
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine import acceptance as exact
from dspark_bench.engine import replay_acceptance as replay
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.replay_acceptance import ReplayAcceptance
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny

LONG_S = 1e6
STAGES = ("t_draft_s", "t_schedule_s", "t_verify_s", "t_accept_s", "t_engine_s")


class Ticking:
    """A clock that goes on by a second whenever it is read, and by what is added."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.num_additions = 0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s

    def slow(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, taking a long time."""

        def slowly(*arguments: Any) -> Any:
            self.now_s += LONG_S
            self.num_additions += 1
            return function(*arguments)

        return slowly


def run(
    clock: Ticking, acceptance: Acceptance, temperature: float, is_speculative: bool
) -> RunResult:
    engine = Engine(
        tiny.target(),
        tiny.drafter("semi_ar_vanilla") if is_speculative else None,
        FixedScheduler(),
        acceptance,
        SamplingParams(temperature),
        4,
        EngineConfig(2, 128),
        clock,
    )
    requests = tiny.requests(3, 12)
    if acceptance.follows_record:
        requests = [replace(r, continuation=(1, 2, 3, 4) * 4) for r in requests]
    return engine.run(requests, ClosedLoad(2), 0)


@pytest.mark.parametrize("is_speculative", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("rule", [ExactAcceptance, ReplayAcceptance])
def test_findings_cost_no_stage_and_no_duration(
    rule: type[ExactAcceptance] | type[ReplayAcceptance],
    temperature: float,
    is_speculative: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Ticking()
    for module in (exact, replay):
        slow = clock.slow(exact.expected_overlaps)
        monkeypatch.setattr(module, "expected_overlaps", slow)
    monkeypatch.setattr(exact, "greedy_margins", clock.slow(exact.greedy_margins))
    result = run(clock, rule(), temperature, is_speculative)
    has_findings = temperature == 0 or is_speculative
    assert (clock.num_additions > 2) == has_findings
    decoding = [cycle for cycle in result.cycles if not cycle.is_prefill]
    if temperature == 0:
        assert all(len(r.margins) == len(r.output_tokens) for r in result.requests)
    elif is_speculative:
        assert all(len(c.expected_acceptance) == c.verify_len for c in decoding)
    for cycle in result.cycles:
        assert max(getattr(cycle, name) for name in STAGES) < 100
    assert result.wall_s < LONG_S
    assert max(record.finished_s for record in result.requests) <= result.wall_s
    by_cycle = {cycle.cycle: cycle for cycle in result.cycles}
    assert sum(cycle.duration_s for cycle in by_cycle.values()) == result.wall_s
