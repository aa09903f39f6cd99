"""A learning calibrator is judged on what it knew when it was asked."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord, RunResult
from dspark_bench.measure.replay import replay
from dspark_bench.measure.turns import Turn, TurnResult
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from tests.calibrators.test_calibrators import record


class Counter:
    """Answers every question with the number of cycles seen so far, over 100."""

    def __init__(self) -> None:
        self.seen = 0

    def calibrate(self, confidence: Floats) -> Floats:
        return np.full_like(confidence, self.seen / 100)

    def observe(self, records: Sequence[CycleRecord]) -> None:
        self.seen += 1


def _turn(arm: str, cycles: Sequence[CycleRecord]) -> TurnResult:
    return TurnResult(Turn(arm, 0, 0, (), 0, is_warmup=False), RunResult([], list(cycles)))


def test_estimates_come_from_earlier_cycles_and_keep_each_drafts_length() -> None:
    pair = [record((0.5, 0.5), 0, True), record((0.5,), 0, True)]
    later = [replace(pair[0], cycle=1), replace(record((), 0, False), cycle=2)]
    baseline = _turn(BASELINE, [record((), 0, False)])
    done = [baseline, _turn(SPECULATIVE, [*pair, *later]), baseline, _turn(SPECULATIVE, pair[1:])]
    found = replay(Counter(), done).tolist()
    assert found == [[], [0.0, 0.0], [0.0], [0.01, 0.01], [], [], [0.03]]
