"""A time limit stops what is being measured, never what has been."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dspark_bench.core.errors import TimeLimitError
from dspark_bench.machine.environment import read_environment
from dspark_bench.measure import arm as arm_module
from dspark_bench.measure import law_checks
from dspark_bench.measure.allowance import Allowance
from dspark_bench.measure.block import Watcher, run_block
from dspark_bench.measure.block_plan import Block, PlannedPoint
from dspark_bench.measure.build import ModelCache
from dspark_bench.measure.point import PointResult
from dspark_bench.metrics.frames import BASELINE
from tests.measure.points import plan
from tests.tiny_models import TinyZoo

_TURNS = 3
"""Of the speculative arm: a warm-up and two prompts."""


def run(
    zoo: TinyZoo, folder: Path, monkeypatch: pytest.MonkeyPatch, turns: int, more: Sequence[str]
) -> PointResult | Exception:
    """What becomes of a point whose arm may take so many turns."""

    served: list[str] = []

    class Turns(Allowance):
        @contextmanager
        def at_work(self) -> Iterator[None]:
            with super().at_work():
                if self._limit_s is not None and len(served) >= turns:
                    raise TimeLimitError("over its time limit")
                yield

    monkeypatch.setattr(arm_module, "Allowance", Turns)
    monkeypatch.setattr(law_checks, "SHORT_DISTRIBUTION_REQUESTS", 100)
    monkeypatch.setattr(law_checks, "ANTICIPATION_TRIALS", 5)
    point = PlannedPoint(*plan(zoo, folder, "measure.time_limit_s=60", *more))
    found: list[PointResult | Exception] = []
    watcher = Watcher(
        lambda num_turns: None,
        lambda item: served.extend({item.turn.arm} - {BASELINE}),
        lambda notes: None,
        lambda planned, result: found.append(result),
    )
    run_block(Block((point,)), read_environment(), ModelCache(), watcher)
    (result,) = found
    return result


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
    result = run(tiny_zoo, tmp_path, monkeypatch, _TURNS, more)
    assert isinstance(result, PointResult)
    assert result.summary.lossless.evidence in evidence
    assert result.summary.as_row()["speedup_model"] is not None


def test_turns_are_stopped(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(tiny_zoo, tmp_path, monkeypatch, _TURNS - 1, ["temperature=0"])
    assert isinstance(result, TimeLimitError)
