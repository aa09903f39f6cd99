"""`dspark-bench plot`: read a results folder, draw its figures, say what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.plots.curves import Panel, build_panels
from dspark_bench.plots.results import SkippedPoint, load_results
from dspark_bench.plots.s_curve import draw_s_curve
from dspark_bench.plots.style import RC

FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True, slots=True)
class PlotReport:
    """Files written, the data they show, and the points left out with their reasons."""

    written: tuple[Path, ...]
    panels: tuple[Panel, ...]
    skipped: tuple[SkippedPoint, ...]


def plot(
    path: Path, out: Path | None = None, formats: Sequence[str] = ("png", "svg")
) -> PlotReport:
    """Draw the figures of `path` (a sweep, or a folder of sweeps) into `out`.

    out: `path`/figures by default; created if missing. Raises UsageError for an unknown format,
    ResultsError for results that cannot be read or files that cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"format {name!r} is unknown; valid: {', '.join(FORMATS)}")
    results = load_results(path)
    panels, unplaced = build_panels(results)
    folder = path / "figures" if out is None else out
    written = []
    with mpl.rc_context(RC):
        figure = draw_s_curve(panels)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in formats:
                file = folder / f"s_curve.{name}"
                undated = {"Date": None} if name == "svg" else None
                figure.savefig(file, format=name, metadata=undated)
                written.append(file)
        except OSError as error:
            raise ResultsError(f"cannot write figures to {folder}: {error}") from error
    return PlotReport(tuple(written), panels, (*results.skipped, *unplaced))
