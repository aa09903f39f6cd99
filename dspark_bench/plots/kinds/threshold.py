"""A static confidence threshold (the paper's Figure 5): what is accepted, and what it costs."""

from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.curves import draw_curve, shifts, ticks_at
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    caption,
    columns,
    each_series,
    in_order,
    name_places,
    numbers,
    require,
    speculative_rows,
    with_interval,
)
from dspark_bench.plots.settings import drafter_columns, panel_columns
from dspark_bench.plots.sheet import Grid, curve_handles, from_zero, sheet, title
from dspark_bench.plots.style import Look

_AXIS = "scheduler.threshold"
_ROWS = (
    ("acceptance_rate_scheduled", "accepted share of verified drafts"),
    ("accepted_length", "accepted length (tokens/cycle)"),
    ("speedup", "speedup S (ratio)"),
)
_NAMES = tuple(name for name, _ in _ROWS)


def collect(results: Results) -> Plotted:
    """Points of `scheduler=threshold`; a curve per workload and whatever else varies."""
    rows = speculative_rows(results)
    rows = rows[rows["scheduler"] == "threshold"] if "scheduler" in rows.columns else rows[:0]
    if rows.empty:
        raise NotSupportedError("no point has scheduler=threshold")
    rows = numbers(require(rows, _AXIS, _NAMES[0]), *with_interval(*_NAMES))
    curves = ["workload", *drafter_columns(rows), "gamma"]
    curves += [name for name in panel_columns(rows, (_AXIS,)) if name not in curves]
    rows, notes = name_places(rows, [_AXIS], curves)
    if rows.groupby(["panel", "series"])[_AXIS].nunique().max() < 2:
        raise NotSupportedError("scheduler.threshold takes one value only")
    data = columns(
        in_order(rows, _AXIS), "workload", _AXIS,
        *with_interval(*_NAMES), "n_units", "n_requests",
    )  # fmt: skip
    return Plotted(data, (*caption(rows, *_NAMES), *notes))


def draw(plotted: Plotted, look: Look) -> Canvas:
    """Acceptance rate, accepted length and speedup side by side."""
    data = plotted.data
    marks = look.marks(data["series"])
    figure, axes = sheet(look, Grid(1, 3, 3.9, 3.4), curve_handles(marks), plotted.caption)
    moved = shifts(data[_AXIS], list(marks))
    for axis, (name, text) in zip(axes[0], _ROWS, strict=True):
        for label, curve in each_series(data):
            draw_curve(axis, curve, _AXIS, name, marks[label], moved[label])
        ticks_at(axis, data[_AXIS].tolist())
        title(axis, text, 4.2)
        axis.set_xlabel("confidence threshold")
    axes[0, 0].set_ylim(0, 1.02)
    from_zero(axes[0, 1:2])
    axes[0, 2].axhline(1.0, color=look.muted, linewidth=1.0, zorder=1)
    return figure


KIND = Kind("threshold", "A static confidence threshold", 70, collect, draw)
