"""What `dspark-bench plot` does: read, draw, write, and report what was left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.figures import (
    Figure,
    Skipped,
    check_formats,
    draw_all,
    make_figure,
    write_figures,
)
from dspark_bench.plots.kinds import choose_kinds, cost_curve
from dspark_bench.plots.results import SkippedPoint, load_results
from dspark_bench.plots.style import find_look


@dataclass(frozen=True, slots=True)
class PlotRequest:
    """paths: sweeps, folders of sweeps, or one file of `profile`; out: by default `figures` in the
    path, or beside the first of several; kinds: all that the data supports if none is named; here:
    machine_id of the machine that asks.
    """

    paths: tuple[Path, ...]
    out: Path | None = None
    formats: tuple[str, ...] = ("png", "svg")
    style: str = "light"
    kinds: tuple[str, ...] = ()
    here: str | None = None

    @property
    def folder(self) -> Path:
        """Where the figures go."""
        if self.out is not None:
            return self.out
        first = self.paths[0]
        is_folder = len(self.paths) == 1 and first.is_dir()
        return (first if is_folder else first.parent) / "figures"


@dataclass(frozen=True, slots=True)
class PlotReport:
    """Files written, figures drawn, and the kinds and points left out with their reasons."""

    written: tuple[Path, ...]
    figures: tuple[Figure, ...]
    skipped_kinds: tuple[Skipped, ...]
    skipped_points: tuple[SkippedPoint, ...]


def run_plot(
    request: PlotRequest, on_written: Callable[[Path], None] = lambda path: None
) -> PlotReport:
    """Draw and write. Raises UsageError for an unknown kind, style or format; ResultsError for
    results that cannot be read, that support no figure, or files that cannot be written.
    """
    check_formats(request.formats)
    choose_kinds(request.kinds)
    find_look(request.style)
    drawn, points = _draw(request)
    figures = tuple(item for item in drawn if isinstance(item, Figure))
    skipped = tuple(item for item in drawn if isinstance(item, Skipped))
    if not figures:
        reasons = "; ".join(map(str, skipped))
        raise ResultsError(f"no figure of {_shown(request.paths)}: {reasons}")
    written = write_figures(figures, request.folder, request.formats, on_written)
    return PlotReport(written, figures, skipped, points)


def _draw(request: PlotRequest) -> tuple[Sequence[Figure | Skipped], tuple[SkippedPoint, ...]]:
    first = request.paths[0]
    if len(request.paths) == 1 and first.is_file():
        plotted = cost_curve.collect_file(first)
        return [make_figure(cost_curve.KIND, plotted, find_look(request.style))], ()
    results = load_results(request.paths, request.here)
    return draw_all(results, request.style, request.kinds), results.skipped


def _shown(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
