"""Accepted length and cycle latency against draft length (the paper's Figure 4)."""

from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.curves import draw_curve, in_milliseconds, shifts, ticks_at
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.kinds.s_curve import several_lengths
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    caption,
    columns,
    drafter_curves,
    each_panel,
    each_series,
    limit_panels,
    name_places,
    numbers,
    require,
    speculative_rows,
    with_interval,
)
from dspark_bench.plots.sheet import Grid, curve_handles, from_zero, sheet, title
from dspark_bench.plots.style import Look

_ROWS = (("accepted_length", "accepted length\n(tokens/cycle)"), ("cycle_s", "cycle latency (ms)"))
_MOST_COLUMNS = 4


def collect(results: Results) -> Plotted:
    """Groups in which a drafter ran at several draft lengths."""
    rows = require(speculative_rows(results), "accepted_length", "cycle_s")
    rows = numbers(rows, *with_interval("accepted_length", "cycle_s"))
    rows, notes = name_places(rows, ["gamma"], drafter_curves(rows))
    rows, more = several_lengths(rows)
    if rows["gamma"].nunique() < 2:
        raise NotSupportedError("gamma takes one value only")
    rows, further = limit_panels(rows, most=_MOST_COLUMNS)
    data = columns(
        rows.sort_values(["panel", "series", "gamma"], kind="stable"), "drafter", "gamma",
        *with_interval("accepted_length", "cycle_s"), "n_units", "n_requests",
    )  # fmt: skip
    return Plotted(data, (*caption(rows, "accepted_length", "cycle_s"), *notes, *more, *further))


def draw(plotted: Plotted, look: Look) -> Canvas:
    """Accepted length above, the mean duration of a cycle below; one column per group."""
    data = plotted.data
    marks = look.marks(data["series"])
    panels = each_panel(data)
    width_in = 6.4 if len(panels) == 1 else 4.2
    grid = Grid(2, len(panels), width_in, 2.8, sharex=True, sharey="row")
    figure, axes = sheet(look, grid, curve_handles(marks), plotted.caption)
    for column, (name, part) in zip(axes.T, panels, strict=True):
        moved = shifts(part["gamma"], list(marks))
        for axis, (figure_name, _) in zip(column, _ROWS, strict=True):
            for label, curve in each_series(part):
                draw_curve(axis, curve, "gamma", figure_name, marks[label], moved[label])
            ticks_at(axis, data["gamma"].tolist())
        in_milliseconds(column[1].yaxis)
        title(column[0], name)
        column[-1].set_xlabel("gamma (draft tokens per cycle)")
    from_zero(axes.flat)
    for axis, (_, text) in zip(axes[:, 0], _ROWS, strict=True):
        axis.set_ylabel(text)
    return figure


KIND = Kind("draft_length", "Accepted length and cycle latency by draft length", 60, collect, draw)
