"""`dspark-bench check`: reads two sides, compares them, and says it in every form asked for."""

import json
import math
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from dspark_bench.core.errors import BenchError, RegressionError, ResultsError, UsageError
from dspark_bench.core.wording import number_of
from dspark_bench.gate.baseline_file import is_baseline, read_baseline, write_baseline
from dspark_bench.gate.figures import MIN_REQUESTS
from dspark_bench.gate.match import check_unique
from dspark_bench.gate.plan import plan
from dspark_bench.gate.points import GatePoint, read_points
from dspark_bench.gate.render import (
    junit,
    junit_error,
    markdown,
    plan_table,
    report_table,
    summary_lines,
)
from dspark_bench.gate.report import (
    DEFAULT_MARGIN,
    GateReport,
    OnInconclusive,
    compare,
    read_side,
)

DEAD_LENGTH: Final = 1.1
"""Accepted length under which a drafter is not worth being a baseline."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files to write beside the table."""

    junit: Path | None = None
    markdown: Path | None = None
    json: Path | None = None

    def given(self) -> dict[str, Path]:
        """Those that are asked for, by option."""
        named = {"--junit": self.junit, "--markdown": self.markdown, "--json": self.json}
        return {option: path for option, path in named.items() if path is not None}


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """A command line. margin, speed_margin: relative, above 0 and below 1."""

    results: Path
    baseline: Path
    margin: float = DEFAULT_MARGIN
    speed_margin: float | None = None
    on_inconclusive: OnInconclusive = "fail"
    outputs: Outputs = Outputs()


def run_check(request: CheckRequest, console: Console) -> int:
    """Compare, print, write. Returns the exit code; raises UsageError for what is no result."""
    check_margins(request.margin, request.speed_margin)
    _check_outputs(request)
    try:
        report = compare(
            read_points(request.results),
            read_side(request.baseline),
            request.margin,
            request.speed_margin,
            (str(request.results), str(request.baseline)),
        )
    except BenchError as error:
        _write(request.outputs.junit, junit_error(str(error)))
        raise
    _show(report, console)
    _write(request.outputs.junit, junit(report, request.on_inconclusive))
    _write(request.outputs.markdown, markdown(report))
    _write(request.outputs.json, _json_text(report))
    return report.exit_code(request.on_inconclusive)


def run_update(request: CheckRequest, console: Console) -> None:
    """Write a baseline file from results; show how it differs from the one before.

    Raises RegressionError for a drafter that is dead, UsageError for results that are no baseline.
    """
    check_margins(request.margin, request.speed_margin)
    if request.baseline.is_dir():
        raise UsageError(f"--update writes a file; {request.baseline} is a folder")
    points = read_points(request.results)
    check_unique(points, "the results")
    for point in points:
        _refuse_dead(point)
        if len(point.counts.prompts) < MIN_REQUESTS:
            raise UsageError(
                f"{point.label} has {len(point.counts.prompts)} prompts; a baseline needs "
                f"{MIN_REQUESTS} or more (check --plan says how many a margin needs)"
            )
    if request.baseline.exists():
        _refuse_foreign(request.baseline)
        try:
            before = read_baseline(request.baseline)
            _show(compare(points, before, request.margin, names=("new", "the old one")), console)
        except ResultsError as error:
            console.print(f"not comparable with the old baseline: {error}", soft_wrap=True)
    write_baseline(request.baseline, points)
    size = request.baseline.stat().st_size / 1024
    console.print(
        f"{request.baseline}: {number_of(len(points), 'point')}, {size:.0f} kB", soft_wrap=True
    )


def run_plan(baseline: Path, margin: float, console: Console) -> None:
    """Print how many requests the margin needs."""
    check_margins(margin, None)
    rows = plan(read_side(baseline), margin)
    console.print(plan_table(rows, margin))
    for name, counts in (
        ("same prompts, other seeds", [row.paired for row in rows]),
        ("other prompts (never compared, an upper bound)", [row.unpaired for row in rows]),
    ):
        known = [count for count in counts if count is not None]
        if known and len(known) == len(counts):
            console.print(f"{name}: {max(known)} requests")
        else:
            console.print(
                f"{name}: unknown; it takes a baseline with measure.precision=null and "
                "measure.repeats=2 or more",
                soft_wrap=True,
            )
    console.print("replay with the baseline's seeds: unchanged code differs by exactly zero")


def check_margins(margin: float, speed_margin: float | None) -> None:
    """Raise UsageError for a margin that is none."""
    for name, value in (("--margin", margin), ("--speed-margin", speed_margin)):
        if value is not None and not (math.isfinite(value) and 0 < value < 1):
            raise UsageError(f"{name} is {value}; valid: above 0, below 1 (0.02 is 2 %)")


def _check_outputs(request: CheckRequest) -> None:
    """Raise UsageError where a report would take the place of the baseline or of another one."""
    taken = {realpath(request.baseline): "--baseline"}
    for option, path in request.outputs.given().items():
        other = taken.setdefault(realpath(path), option)
        if other != option:
            raise UsageError(f"{option} is {path}, which {other} names too; valid: another file")


def _refuse_foreign(path: Path) -> None:
    """Raise UsageError for a file that is no baseline: it is somebody's, and would be lost."""
    if not is_baseline(path):
        raise UsageError(f"{path} is no baseline, and --update does not overwrite it")


def _refuse_dead(point: GatePoint) -> None:
    total = point.counts.select(point.counts.prompts, len(point.counts.repeats)).total()
    length = 1 + float(np.sum(total.accepted) / total.cycles)
    if length < DEAD_LENGTH:
        raise RegressionError(
            f"{point.label}: accepted length {length:.3f} is under {DEAD_LENGTH}: the drafter is "
            "dead; no baseline is written"
        )


def _show(report: GateReport, console: Console) -> None:
    console.print(report_table(report))
    for line in summary_lines(report):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _json_text(report: GateReport) -> str:
    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return json.dumps(plain(report.as_json()), indent=2, allow_nan=False) + "\n"


def _write(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error
