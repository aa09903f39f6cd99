"""Who works when within a round: arms hand over within an answer, and take the lead in turn."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from dspark_bench.core.records import RequestRecord, RunResult
from dspark_bench.core.types import Request
from dspark_bench.machine.gpu_process import GpuTelemetry
from dspark_bench.measure.round_loop import Rounds
from dspark_bench.measure.rounds import RoundPlan, Style
from dspark_bench.measure.turns import Order, TurnResult, plan_warmup
from dspark_bench.metrics.frames import BASELINE
from dspark_bench.metrics.units import STRETCH_TOKENS
from tests.cycles import cycle_record

_ROWS = ((BASELINE, "x", "y"), ("x", "y", BASELINE), ("y", BASELINE, "x"))
_ORDER = Order(_ROWS, dict.fromkeys(_ROWS[0], 0))
_REQUESTS = tuple(Request(n, f"p{n}", "math", (1, 2), 40) for n in range(4))
_ANSWER = 2 * STRETCH_TOKENS + 4


class _Watcher:
    def on_turn(self, item: TurnResult) -> None:
        """Unseen."""

    def on_standing(self, standing: object, is_look: bool) -> None:
        """Unseen."""


class _Arm:
    """Emits a token a cycle and says so; raises once, at the given token of all it has emitted."""

    def __init__(self, name: str, said: list[str], fails_at: int | None = None) -> None:
        self._name, self._said, self._fails_at = name, said, fails_at
        self._num_emitted = 0

    def run(self, requests: Sequence[Request], seed: int) -> RunResult:
        *_, result = self.steps(requests, seed)
        return result

    def steps(self, requests: Sequence[Request], seed: int) -> Iterator[RunResult]:
        result = RunResult()
        for number in range(_ANSWER):
            if self._num_emitted == self._fails_at:
                self._fails_at = None
                raise RuntimeError("broken")
            self._num_emitted += 1
            self._said.append(f"{requests[0].request_id}{self._name[0]}")
            record = cycle_record(request_id=requests[0].request_id, cycle=number, num_emitted=1)
            result.cycles.append(record)
            yield result
        number = requests[0].request_id
        served = RequestRecord(number, f"p{number}", "math", 2, (5,), "length", 0, 0, 0.5, 1)
        yield RunResult([served], result.cycles, 1.0)


def _served(fails_at: int | None = None) -> list[tuple[str, int]]:
    """What was said in one round of one request at a time, with how often in a row."""
    said: list[str] = []
    arms = {label: _Arm(label, said, fails_at if label == "x" else None) for label in _ROWS[0]}
    plan = RoundPlan(Style.ONE_BY_ONE, 1, (_REQUESTS,))
    rounds = Rounds(plan, _ORDER, arms, None, _Watcher(), {})
    rounds.serve_next()
    return [(name, len(list(part))) for name, part in groupby(said)]


def test_arms_hand_over_within_an_answer_and_lead_in_turn() -> None:
    """Each prompt starts with the row of its own, and goes on with the next rows."""
    expected = [
        (f"{request}{arm[0]}", num_tokens)
        for request in range(4)
        for passed, num_tokens in enumerate((STRETCH_TOKENS, STRETCH_TOKENS, 4))
        for arm in _ROWS[(request + passed) % 3]
    ]
    assert _served() == _merged(expected)


def test_an_arm_that_fails_within_an_answer_works_no_more() -> None:
    """In the second stretch of the second prompt."""
    served = _served(fails_at=_ANSWER + STRETCH_TOKENS + 3)
    of_x = [(name, length) for name, length in served if name.endswith("x")]
    assert of_x[-1] == ("1x", 3) and sum(length for _, length in of_x) == _ANSWER + 19
    for other in "by":
        assert sum(n for name, n in served if name.endswith(other)) == 4 * _ANSWER


def test_an_arm_that_fails_in_a_round_has_no_turn_on_record() -> None:
    arms = {label: _Arm(label, [], _ANSWER + 3 if label == "x" else None) for label in _ROWS[0]}
    plan = RoundPlan(Style.ONE_BY_ONE, 1, (_REQUESTS,))
    records = Rounds(plan, _ORDER, arms, None, _Watcher(), {}).serve_next()
    assert {turn["arm"] for turn in records.turns} == {BASELINE, "y"} == set(records.cycles["arm"])


def test_what_was_seen_around_the_warm_up_is_kept() -> None:
    arms = {label: _Arm(label, []) for label in _ROWS[0]}
    rounds = Rounds(
        RoundPlan(Style.ONE_BY_ONE, 1, (_REQUESTS,)), _ORDER, arms, None, _Watcher(), {}
    )
    rounds.warm_up(plan_warmup(_REQUESTS, 1, _ORDER))
    found = rounds.turns(GpuTelemetry("none")).windows
    assert [(window.arm, window.is_warmup) for window in found] == [(a, True) for a in _ROWS[0]]


def _merged(parts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Neighbours of one name as one."""
    grouped = groupby(parts, key=lambda part: part[0])
    return [(name, sum(length for _, length in own)) for name, own in grouped]
