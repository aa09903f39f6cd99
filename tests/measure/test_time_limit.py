"""A time limit stops what is being measured, never what has been."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dspark_bench.core.errors import TimeLimitError
from dspark_bench.machine.environment import read_environment
from dspark_bench.measure import law_checks
from dspark_bench.measure import point as point_module
from dspark_bench.measure.build import ModelCache
from dspark_bench.measure.point import PointResult, Watcher, run_point
from dspark_bench.measure.turns import TurnResult
from tests.measure.points import plan
from tests.tiny_models import TinyZoo


class Limit:
    """Stands for a clock whose time is up once so many turns are over."""

    def __init__(self, turns_before_end: int) -> None:
        self._left: int | None = None
        self._early = turns_before_end

    def limited(
        self, clock: Callable[[], float], left_s: float, limit_s: float
    ) -> Callable[[], float]:
        assert left_s <= limit_s

        def read() -> float:
            if self._left == 0:
                raise TimeLimitError("over its time limit")
            return clock()

        return read

    def planned(self, num_turns: int) -> None:
        self._left = num_turns - self._early

    def turned(self, turn: TurnResult) -> None:
        assert self._left is not None
        self._left -= 1


def run(
    zoo: TinyZoo, folder: Path, monkeypatch: pytest.MonkeyPatch, early: int, more: Sequence[str]
) -> PointResult:
    limit = Limit(early)
    monkeypatch.setattr(point_module, "limited", limit.limited)
    monkeypatch.setattr(law_checks, "SHORT_DISTRIBUTION_REQUESTS", 100)
    monkeypatch.setattr(law_checks, "ANTICIPATION_TRIALS", 5)
    config, identity = plan(zoo, folder, "measure.time_limit_s=60", *more)
    watcher = Watcher(limit.planned, limit.turned, lambda notes: None)
    return run_point(config, identity, read_environment(), ModelCache(), watcher)


@pytest.mark.parametrize(
    ("more", "evidence"),
    [
        (["temperature=0"], ("exact", "near_tie")),
        (["measure.law_tokens=100"], ("verified", "violated")),
    ],
)
def test_checks_after_the_last_turn_are_made_however_late_it_is(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    evidence: tuple[str, str],
) -> None:
    """The control of greedy output, the law of sampled output, predictions and agreement."""
    found = run(tiny_zoo, tmp_path, monkeypatch, 0, more).summary
    assert found.lossless.evidence in evidence
    assert found.as_row()["speedup_model"] is not None


def test_turns_are_stopped(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TimeLimitError):
        run(tiny_zoo, tmp_path, monkeypatch, 1, ["temperature=0"])
