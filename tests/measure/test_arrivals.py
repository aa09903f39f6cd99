"""What a load says before it runs."""

from dataclasses import dataclass
from typing import Any, cast

import pytest

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Load
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.loads.constant import ConstantLoad
from dspark_bench.loads.ramp import RampLoad
from dspark_bench.loads.ramp_users import RampUsersLoad
from dspark_bench.measure.arrivals import arrival_notes, arrivals_s, check_arrivals, duration


@dataclass
class _Named:
    name: str
    repeats: int = 3
    warmup_requests: int = 2
    precision: float | None = None
    max_rounds: int = 12


@dataclass
class _Point:
    num_requests: int
    load: _Named
    measure: _Named


def _point(num_requests: int, name: str, warmup: int, precision: float | None) -> PointConfig:
    measure = _Named("", 3, warmup, precision)
    return cast(PointConfig, _Point(num_requests, _Named(name), measure))


def _notes(
    load: Any,
    num_requests: int,
    name: str = "x",
    warmup: int = 2,
    precision: float | None = None,
) -> tuple[str, ...]:
    return arrival_notes(_point(num_requests, name, warmup, precision), cast(Load, load))


def test_arrivals_are_added_up_over_turns_and_warmup() -> None:
    (line,) = _notes(ConstantLoad(0.5, 4), 11, "constant")
    assert line == (  # 3 x 20 + 6: four requests warm up, one per place
        "load=constant: arrivals alone take 20 s a turn, 66 s for each arm, the baseline too "
        "(3 turns and warm-up)"
    )
    assert "60 s for each arm" in _notes(ConstantLoad(0.5, 4), 11, warmup=0)[0]


def test_with_a_precision_the_rounds_are_a_bound() -> None:
    (line,) = _notes(ConstantLoad(0.5, 4), 11, "constant", 0, precision=0.05)
    assert "20 s a turn, at most 4 min for each arm" in line and "(at most 12 turns" in line


@pytest.mark.parametrize(
    ("load", "precision", "seconds"),
    [
        (ConstantLoad(0.5, 4), None, 3 * 20.0 + 6.0),
        (ConstantLoad(0.5, 4), 0.05, 12 * 20.0 + 6.0),
        (ClosedLoad(1), None, 0.0),
        (ClosedLoad(4), 0.05, 0.0),
        (ClosedLoad(4, 2.5), None, 3 * 2 * 2.5),  # three each, and nobody pauses in warm-up
        (ClosedLoad(4, 2.5), 0.05, 12 * 2 * 2.5),
        (RampUsersLoad(1, 4, 3.0), None, 0.0),
    ],
)
def test_seconds_of_one_arm(load: Any, precision: float | None, seconds: float) -> None:
    assert arrivals_s(
        _point(11, "closed" if isinstance(load, ClosedLoad) else "x", 2, precision), load
    ) == pytest.approx(seconds)


def test_a_closed_loop_waits_for_pauses_only() -> None:
    assert _notes(ClosedLoad(1), 9) == _notes(ClosedLoad(4), 9) == ()
    (line,) = _notes(ClosedLoad(4, 2.5), 9, "closed", warmup=0)
    assert "arrivals alone take 5 s a turn, 15 s for each arm" in line
    assert _notes(RampUsersLoad(1, 4, 3.0), 9) == ()


def test_a_pause_that_never_comes_is_said() -> None:
    assert _notes(ClosedLoad(1, 5.0), 9) == (
        "load.think_s=5 has no effect: every turn is one request",
    )
    (note,) = _notes(ClosedLoad(9, 5.0), 9)
    assert note == "load.think_s=5 has no effect: nobody sends a second"


def test_a_ramp_that_ends_early_is_said() -> None:
    note, _ = _notes(RampLoad(1.0, 8.0, 300.0, 4, 0), 9)
    assert "of load.duration_s=300 s, at 1." in note and "the end rate 8 is not reached" in note
    assert len(_notes(RampLoad(1.0, 8.0, 0.1, 4, 0), 9)) == 1


def test_too_few_arrivals_are_found_before_anything_runs() -> None:
    class Short(ConstantLoad):
        def last_arrival_s(self, num_requests: int) -> float:
            raise UsageError("num_requests is 9")

    point = cast(PointConfig, _Point(9, _Named("x"), _Named("")))
    with pytest.raises(UsageError):
        check_arrivals(point, cast(Load, Short(1.0, 1)))
    check_arrivals(point, cast(Load, RampUsersLoad(1, 4, 3.0)))


def test_durations_are_short() -> None:
    assert [duration(s) for s in (0.25, 119, 121, 7100, 7200, 36061)] == [
        "0.25 s", "119 s", "3 min", "119 min", "2 h 0 min", "10 h 2 min"
    ]  # fmt: skip
