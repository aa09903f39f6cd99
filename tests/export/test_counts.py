"""Counts that no cycles can have had are none."""

from dataclasses import replace
from typing import Any

import pytest

from dspark_bench.export.counts import accepted_counts, rejected_counts, trial_cycles
from dspark_bench.reading.points import Point
from tests.export.answers import answer
from tests.export.folders import point


def _point(cycles: Any, accepted: Any, rejected: Any) -> Point:
    made = answer(point("a", 1.5, gamma=2)).winner.point
    counts = {"accepted": accepted, "rejected": rejected}
    return replace(made, metrics={"counts": {"trial_cycles": cycles}, "position_counts": counts})


def test_counts_as_they_were_kept() -> None:
    found = _point(10.0, [6.0, 6], [4.0, 0.0])
    assert (trial_cycles(found), accepted_counts(found)) == (10, (6.0, 6))
    assert rejected_counts(found) == (4.0, 0.0)


@pytest.mark.parametrize("cycles", [None, "ten", True, -1.0, float("nan"), float("inf"), [10]])
def test_no_cycles(cycles: Any) -> None:
    assert trial_cycles(_point(cycles, [0, 0], [0, 0])) == 0


@pytest.mark.parametrize(
    "counts", [None, "66", [6], [6, 5, 4], [6, None], [6, "5"], [6, -1], [5, 6], [11, 6], [6, True]]
)
def test_no_accepted_drafts(counts: Any) -> None:
    assert accepted_counts(_point(10, counts, [4, 1])) == ()
