"""Timing noise in words: after each point, and below the table of a sweep."""

from collections import Counter
from collections.abc import Callable, Sequence

from dspark_bench.config.point_config import NO_DRAFTER
from dspark_bench.core.wording import number_of
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.noise_floor import within_floor
from dspark_bench.metrics.summary import PointSummary
from dspark_bench.reading.rows import Row

_UNMEASURED = "not measured"


def outcome(summary: PointSummary) -> str:
    """Such as `S = 1.49 (1.39-1.62), noise floor 1.8 %`."""
    found = summary.headline["speedup"]
    if found.value is None:
        return str(summary.values["speedup_interval_basis"])
    interval = "no interval"
    if found.low is not None and found.high is not None:
        interval = f"{found.low:.2f}-{found.high:.2f}"
    floor = summary.noise.floor
    noise = _UNMEASURED if floor is None else f"{floor:.1%}"
    return f"S = {found.value:.2f} ({interval}), noise floor {noise}"


def noise_lines(rows: Sequence[Row], label: Callable[[Row], str]) -> list[str]:
    """The noise floors of a sweep, points that do not rise above theirs, and S without interval.

    label: what a row is called. Rows of older results, which know no floor, say nothing.
    """
    floors = [row["noise_floor"] for row in rows if row.get("noise_floor") is not None]
    reasons = Counter(
        str(row["noise_floor_basis"])
        for row in rows
        if row.get("noise_floor") is None and row.get("noise_floor_basis")
    )
    lines = []
    if floors:
        low, high = f"{min(floors):.1%}", f"{max(floors):.1%}"
        spread = low if low == high else f"{low} to {high}"
        lines.append(f"timing noise floor (baseline against itself): {spread}")
    lines += [
        f"timing noise floor {reason} ({count} of {number_of(len(rows), 'point')})"
        for reason, count in reasons.items()
    ]
    for row in rows:
        interval = Interval(
            row.get("speedup"), row.get("speedup_ci_low"), row.get("speedup_ci_high"), 0
        )
        if row["drafter"] != NO_DRAFTER and within_floor(interval, row.get("noise_floor")):
            lines.append(f"{label(row)}: S is within the noise floor: neither faster nor slower")
        basis = row.get("speedup_interval_basis")
        if basis and interval.low is None:
            lines.append(f"{label(row)}: {basis}")
    return lines
