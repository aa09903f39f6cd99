"""The figures of a report: whatever `dspark-bench plot` can draw from the same folder."""

from pathlib import Path

from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.figures import plot
from dspark_bench.report.content import Figure

FOLDER = "figures"
_TITLES = {
    "s_curve": "Speedup S against draft length: theory, model and measurement",
    "gap": "From theoretical to measured speedup, term by term",
    "acceptance_by_position": "Acceptance along the draft",
    "depth": "Accepted length against the drafter's depth",
    "draft_length": "Accepted length and cycle time against draft length",
    "threshold": "Acceptance rate and throughput against the confidence threshold",
    "reliability": "Predicted against observed survival of drafts",
    "frontier": "Throughput against speed per user",
    "load": "Throughput and verify budget against concurrency",
    "cost_curve": "What a cycle costs, by batch and verify length",
    "timeline": "Queue, batch and verify budget over one run",
    "cycle_breakdown": "Where the time of a cycle goes",
    "table1": "Accepted length by drafter and workload",
}


def draw_figures(path: Path, out: Path) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """Draw into `out`/figures; returns the figures, and why others were left out.

    A folder that supports no figure is no error: a report may well be tables only.
    """
    try:
        drawn = plot(path, out / FOLDER, ("png",))
    except ResultsError as error:
        if "cannot write" in str(error):
            raise
        return (), (str(error),)
    pictures = [file for file in drawn.written if file.suffix == ".png"]
    return tuple(_figure(file) for file in pictures), tuple(map(str, drawn.skipped))


def _figure(file: Path) -> Figure:
    title = _TITLES.get(file.stem, file.stem.replace("_", " "))
    alt = f"{title}; its numbers are in the tables of this report and in summary.csv"
    return Figure(title, alt, f"{FOLDER}/{file.name}", file.read_bytes())
