"""Hand-made answers of `recommend`, without files: who is beaten and who is paired is stated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dspark_bench.export.axis import LoadAxis, load_axes
from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.points import Point
from dspark_bench.report.ratios import measured_speedup
from dspark_bench.report.recommend import Candidate, Challenger, Recommendation
from dspark_bench.report.settings import configuration_label, configuration_of
from tests.export.folders import NUM_UNITS

Row = dict[str, object]


def answer(
    *rows: Row,
    beaten: Sequence[str] = (),
    unpaired: Sequence[str] = (),
    n: int = NUM_UNITS,
    keys: dict[str, Any] | None = None,
) -> Recommendation:
    """Points of one setting by falling S, the first one the winner; beaten, unpaired: point ids."""
    candidates = [_candidate(row, n, keys or {}) for row in rows]
    challengers = [
        Challenger(
            item,
            Interval(1.1, None, None, n),
            item.point.point_id not in unpaired,
            (),
            is_beaten=item.point.point_id in beaten,
        )
        for item in candidates[1:]
    ]
    return Recommendation("", candidates[0], tuple(challengers), ())


def _candidate(row: Row, n: int, keys: dict[str, Any]) -> Candidate:
    own = {"drafter": row["drafter"], "gamma": row["gamma"], "scheduler": row["scheduler"]}
    metrics = {"point": {"keys": own | keys}, "intervals": {"speedup": {"n": n}}}
    made = Point("s", Path("s"), dict(row), metrics, {}, "finished")
    label = configuration_label(configuration_of(made), ())
    return Candidate(label, str(row["drafter"]), made, measured_speedup(made))


def axis(*answers: Recommendation) -> LoadAxis:
    """Their one axis."""
    (found,) = load_axes(answers)
    return found
