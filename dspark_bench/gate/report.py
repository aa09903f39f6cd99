"""What a check found, and the exit code it means."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from dspark_bench.core.errors import InconclusiveError, RegressionError, ResultsError
from dspark_bench.gate.baseline_file import read_baseline
from dspark_bench.gate.compare import compare_point
from dspark_bench.gate.figures import (
    FAIL_LEVEL,
    MIN_REQUESTS,
    Figure,
    PointComparison,
    Verdict,
    adjust,
)
from dspark_bench.gate.match import match_points
from dspark_bench.gate.points import GatePoint, read_points

DEFAULT_MARGIN: Final = 0.02
OnInconclusive = Literal["fail", "pass"]
METHOD: Final = (
    "ratio to the baseline, paired by prompt; bootstrap over prompts (2,000 resamples, t "
    "interval); passes if the one-sided 95 % bound is above 1 - margin; fails if the ratio is "
    f"below 1 - margin at {FAIL_LEVEL:g}, Holm-adjusted over all figures"
)


@dataclass(frozen=True, slots=True)
class GateReport:
    """Every point's comparison. results, baseline: where they come from."""

    results: str
    baseline: str
    margin: float
    points: tuple[PointComparison, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst: `fail`, then `open` (inconclusive), then `pass`."""
        verdicts = {point.verdict for point in self.points}
        return "fail" if "fail" in verdicts else "open" if "open" in verdicts else "pass"

    def exit_code(self, on_inconclusive: OnInconclusive = "fail") -> int:
        """0 pass, 1 regression, 3 inconclusive (0 where that is to pass)."""
        if self.verdict == "fail":
            return RegressionError.exit_code
        if self.verdict == "open" and on_inconclusive == "fail":
            return InconclusiveError.exit_code
        return 0

    def reasons(self) -> list[str]:
        """One line per point that does not pass, naming figure and position."""
        return [line for point in self.points for line in point_reasons(point)]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "results": self.results,
            "baseline": self.baseline,
            "margin": self.margin,
            "method": METHOD,
            "verdict": VERDICT_WORDS[self.verdict],
            "reasons": self.reasons(),
            "points": [
                {**asdict(point), "verdict": VERDICT_WORDS[point.verdict]} for point in self.points
            ],
        }


VERDICT_WORDS: Final[dict[Verdict, str]] = {
    "pass": "pass",
    "fail": "regression",
    "open": "inconclusive",
}


def point_reasons(point: PointComparison) -> list[str]:
    """Why a point does not pass."""
    if point.verdict == "pass":
        return []
    if point.is_too_small:
        return [
            f"{point.label}: inconclusive: {point.num_requests} prompts on both sides; "
            f"{MIN_REQUESTS} or more are needed"
        ]
    if point.verdict == "open":
        found = [f for f in point.figures if f.must_pass and f.verdict == "open"]
        return [f"{point.label}: inconclusive: {', '.join(map(figure_text, found))}"]
    failed = sorted(point.failed, key=lambda f: f.ratio)
    named = [figure_text(figure) for figure in failed]
    if all(figure.position is None for figure in failed):
        worst = point.worst_position
        if worst is not None and worst.ratio < 1:
            named.append(f"most at position {worst.position}: {figure_text(worst)}")
    return [f"{point.label}: regression: {', '.join(named)}"]


def figure_text(figure: Figure) -> str:
    """`acceptance[3] 0.612 -> 0.580 (x 0.948 [0.940-0.956])`."""
    source = " by counts" if figure.evidence == "counts" and not figure.must_pass else ""
    return (
        f"{figure.title}{source} {figure.baseline:.3f} -> {figure.value:.3f} "
        f"(x {figure.ratio:.3f} [{figure.low:.3f}-{figure.high:.3f}])"
    )


def compare(
    points: Sequence[GatePoint],
    baseline: Sequence[GatePoint],
    margin: float = DEFAULT_MARGIN,
    speed_margin: float | None = None,
    names: tuple[str, str] = ("results", "baseline"),
) -> GateReport:
    """Compare all points of a baseline. Raises ResultsError where they cannot be compared."""
    matches = match_points(points, baseline)
    compared = [compare_point(m.point, m.baseline, margin, speed_margin) for m in matches]
    noted = [
        replace(found, notes=match.notes)
        for found, match in zip(adjust(compared), matches, strict=True)
    ]
    return GateReport(*names, margin, tuple(noted))


def read_side(path: Path) -> list[GatePoint]:
    """Points of a baseline file or of a results folder. Raises ResultsError if it is neither."""
    if not path.exists():
        raise ResultsError(
            f"the baseline {path} is no folder and no file; valid: a file that --update wrote, "
            "or a results folder"
        )
    return read_baseline(path) if path.is_file() else read_points(path)
