"""The figures of a report: whatever `dspark-bench plot` can draw from the same folder."""

from pathlib import Path

from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.figures import Figure as Drawn
from dspark_bench.plots.figures import draw_all, write_figures
from dspark_bench.plots.results import load_results
from dspark_bench.report.content import Figure

FOLDER = "figures"


def draw_figures(
    path: Path, out: Path, here: str | None = None
) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """Draw into `out`/figures; returns the figures, and why others were left out.

    A folder that supports no figure is no error: a report may well be tables only. Raises
    ResultsError if a file cannot be written.
    """
    try:
        results = load_results((path,), here)
    except ResultsError as error:
        return (), (str(error),)
    drawn = draw_all(results)
    figures = [item for item in drawn if isinstance(item, Drawn)]
    write_figures(figures, out / FOLDER, ("png",))
    skipped = [str(item) for item in drawn if not isinstance(item, Drawn)]
    pictures = tuple(_figure(item, out) for item in figures if item.canvas is not None)
    return pictures, (*skipped, *map(str, results.skipped))


def _figure(drawn: Drawn, out: Path) -> Figure:
    """A figure that has been written: to draw it again takes as long as the first time."""
    place = f"{FOLDER}/{drawn.stem}.png"
    alt = f"{drawn.title}. {' '.join(drawn.caption)}"
    return Figure(drawn.title, alt, place, (out / place).read_bytes())
