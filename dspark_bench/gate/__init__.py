"""The acceptance gate: results against a baseline, for the command line and for pytest.

from dspark_bench.gate import assert_no_regression
def test_acceptance(): assert_no_regression("results/gate", "results/baseline/zoo.json")
"""

from pathlib import Path

from dspark_bench.gate.check import check_margins
from dspark_bench.gate.points import read_points
from dspark_bench.gate.report import (
    DEFAULT_MARGIN,
    VERDICT_WORDS,
    GateReport,
    OnInconclusive,
    compare,
    read_side,
)

__all__ = ["GateReport", "assert_no_regression"]


def assert_no_regression(
    results: str | Path,
    baseline: str | Path,
    margin: float = DEFAULT_MARGIN,
    speed_margin: float | None = None,
    on_inconclusive: OnInconclusive = "fail",
) -> GateReport:
    """Raise AssertionError, naming point and figure, unless the results are no worse.

    baseline: a file that `check --update` wrote, or another results folder. margin, speed_margin:
    relative loss that is tolerated. Raises UsageError where the two cannot be compared.
    """
    check_margins(margin, speed_margin)
    names = (str(results), str(baseline))
    report = compare(
        read_points(Path(results)), read_side(Path(baseline)), margin, speed_margin, names
    )
    if report.exit_code(on_inconclusive):
        word = VERDICT_WORDS[report.verdict]
        raise AssertionError("\n".join([f"acceptance gate: {word}", *report.reasons()]))
    return report
