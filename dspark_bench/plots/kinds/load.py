"""Speedup and verify budget against load (the paper's Figure 8).

The paper draws throughputs of arms that ran side by side. Ours may have run at different minutes,
each beside a baseline of its own, so that their throughputs differ by the machine's drift as well;
S, which divides by the paired baseline, does not.
"""

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.curves import draw_curve, ticks_at
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    caption,
    columns,
    each_panel,
    each_series,
    in_order,
    limit_panels,
    name_places,
    numbers,
    require,
    speculative_rows,
    with_interval,
)
from dspark_bench.plots.settings import LOAD_SETTINGS, drafter_columns, panel_columns
from dspark_bench.plots.sheet import Grid, curve_handles, from_zero, sheet, title
from dspark_bench.plots.style import Look

_ROWS = (
    ("speedup", "speedup S\n(over its own paired baseline)"),
    ("verify_budget", "verify budget\n(tokens per request and cycle)"),
)
_WHY = (
    "S of every point is over the baseline that took turns with it; throughputs measured at "
    "different minutes are not compared."
)
_AXIS_LABELS = {"concurrency": "requests at once", "rate": "arrival rate (requests/s)"}
_PANEL_SETTINGS = (
    *("target", "target_hash", "workload", "temperature", "top_p", "top_k", "acceptance"),
    *("max_new_tokens", "lengths", "seed", "dtype", "device", "threads", "machine"),
)


def load_rows(results: Results, *needed: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Points at several loads, with `load_axis` (concurrency, or rate in an open loop) and `level`.

    A curve is whatever was configured, a panel the conditions it ran under. Raises
    NotSupportedError if no configuration ran at several loads.
    """
    rows = numbers(require(speculative_rows(results), *needed), "concurrency", "rate")
    is_open = rows["rate"].notna()
    rows = rows.assign(
        load_axis=is_open.map({True: "rate", False: "concurrency"}),
        level=rows["rate"].where(is_open, rows["concurrency"]),
    )
    rows = rows[rows["level"].notna()]
    curves = [*drafter_columns(rows), "scheduler", "gamma", "cost", "calibrator"]
    others = panel_columns(rows, (*LOAD_SETTINGS, *_PANEL_SETTINGS, *curves))
    curves += [name for name in others if name != "speedup_basis"]
    rows = rows.assign(arrivals=rows["load"])
    rows, notes = name_places(rows, ["level"], curves, (*LOAD_SETTINGS, "speedup_basis"))
    by_load = rows["arrivals"].nunique() > 1
    if by_load:
        glue = rows["panel"].map(lambda text: ", " if text else "")
        rows = rows.assign(panel="load=" + rows["arrivals"] + glue + rows["panel"])
    rows = _several_levels(rows)
    if rows.empty:
        raise NotSupportedError("no configuration ran at several loads (concurrency or rate)")
    return in_order(rows, "level"), notes


def _several_levels(rows: pd.DataFrame) -> pd.DataFrame:
    """Curves over several loads: those of groups in which one sweep moved the load, if there are
    any, else those that several sweeps make up together.
    """
    places = ["panel", "series"]
    wide = rows[rows.groupby(places)["level"].transform("nunique") > 1]
    moved = wide.groupby([*places, "sweep"])["level"].transform("nunique") > 1
    meant = wide[wide["panel"].isin(wide.loc[moved, "panel"])]
    return meant if len(meant) else wide


def collect(results: Results) -> Plotted:
    """Every configuration that ran at several loads."""
    rows, notes = load_rows(results, "speedup", "verify_budget")
    rows = numbers(rows, *with_interval("speedup", "verify_budget"))
    rows, further = limit_panels(rows, most=4)
    data = columns(
        rows, "drafter", "scheduler", "gamma", "load_axis", "level", "concurrency", "rate",
        *with_interval("speedup", "verify_budget"), "speedup_basis", "n_units", "n_requests",
    )  # fmt: skip
    first, *settings = caption(rows, "speedup", "verify_budget")
    return Plotted(data, (f"{first} {_WHY}", *settings, *notes, *further))


def draw(plotted: Plotted, look: Look) -> Canvas:
    """S above, verify budget below; one column per group."""
    data = plotted.data
    marks = look.marks(data["series"])
    panels = each_panel(data)
    keys = curve_handles(marks)
    grid = Grid(2, len(panels), 6.8 if len(panels) == 1 else 4.6, 2.9, sharex="col", sharey=False)
    figure, axes = sheet(look, grid, keys, plotted.caption)
    for column, (name, part) in zip(axes.T, panels, strict=True):
        for axis, (figure_name, text) in zip(column, _ROWS, strict=True):
            for label, curve in each_series(part):
                draw_curve(axis, curve, "level", figure_name, marks[label])
            if figure_name == "speedup":
                axis.axhline(1.0, color=look.muted, linewidth=1.0, zorder=1)
            axis.set_ylabel(text)
        _level_ticks(column, part["level"].tolist())
        title(column[0], name)
        column[-1].set_xlabel(_AXIS_LABELS[str(part["load_axis"].iloc[0])])
    from_zero(axes.flat)
    return figure


def _level_ticks(column: Iterable[Axes], levels: Sequence[float]) -> None:
    for axis in column:
        ticks_at(axis, levels, is_log=min(levels) > 0)


KIND = Kind("load", "Speedup and verify budget against load", 90, collect, draw)
