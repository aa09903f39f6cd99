"""The S curve: speedup against draft length per drafter; theory, model and measurement.

Theory is the i.i.d. formula (Leviathan et al. 2023) with each point's own alpha and draft cost.
"""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from dspark_bench.plots.curves import draw_curve, shift_step, shifts, ticks_at
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    best_of,
    caption,
    columns,
    drafter_curves,
    each_panel,
    each_series,
    left_out,
    limit_panels,
    name_places,
    numbers,
    require,
    speculative_rows,
    with_interval,
)
from dspark_bench.plots.sheet import curve_handles, panel_grid, sheet, switch_off, title, wrapped
from dspark_bench.plots.style import Look, Mark

HOLLOW: dict[str, Any] = {"markersize": 4.5, "linewidth": 1.3, "linestyle": "--"}
DOTTED: dict[str, Any] = {"marker": ".", "markersize": 4, "linewidth": 1.3, "linestyle": ":"}
RING: dict[str, Any] = {"marker": "o", "markerfacecolor": "none", "markersize": 13, "linestyle": ""}
DIAMOND: dict[str, Any] = RING | {"marker": "D", "markersize": 10}
Y_LABELS = {
    "closed_throughput": "speedup S (tokens/s over baseline)",
    "open_time_per_token": "speedup S (baseline time per token over ours)",
}


def collect(results: Results) -> Plotted:
    """Points with a speedup, by draft length; groups with several lengths if there are any."""
    rows = require(speculative_rows(results), "speedup")
    rows = numbers(rows, "speedup_model", *with_interval("speedup", "speedup_theory"))
    rows, notes = name_places(rows, ["gamma"], drafter_curves(rows))
    rows, more = several_lengths(rows)
    rows, further = limit_panels(rows)
    known = rows[rows["speedup_theory"].notna()]
    rows = rows.assign(
        is_measured_optimum=rows.index.isin(best_of(rows, "speedup").index),
        is_formula_optimum=rows.index.isin(best_of(known, "speedup_theory").index),
    )
    data = columns(
        rows.sort_values(["panel", "series", "gamma"], kind="stable"),
        *("drafter", "gamma", *with_interval("speedup", "speedup_theory"), "speedup_model"),
        *("n_units", "n_requests", "speedup_basis", "is_measured_optimum", "is_formula_optimum"),
    )
    optimum = "Optima: the largest S among the draft lengths measured."
    first, *settings = caption(rows, "speedup")
    return Plotted(data, (f"{first} {optimum}", *settings, *notes, *more, *further))


def several_lengths(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Curves over several draft lengths; all points, if there is none but only one panel.

    Raises NotSupportedError if several groups have one length each.
    """
    wide = rows[rows.groupby(["panel", "series"])["gamma"].transform("nunique") > 1]
    if wide.empty and rows["panel"].nunique() > 1:
        raise NotSupportedError("gamma takes one value in every group of comparable points")
    if wide.empty:
        return rows, ()
    return wide, left_out(len(rows) - len(wide), "point", "whose gamma does not vary ")


def draw(plotted: Plotted, look: Look) -> Canvas:
    """One panel per group of comparable points."""
    data = plotted.data
    marks = look.marks(data["series"])
    panels = each_panel(data)
    grid = panel_grid(len(panels), height_in=3.6, sharex=True, sharey=True)
    figure, axes = sheet(look, grid, [*curve_handles(marks), *_keys(look)], plotted.caption)
    for place, (axis, (name, part)) in enumerate(
        zip(switch_off(axes, len(panels)), panels, strict=True)
    ):
        _draw_panel(axis, part, marks, look)
        title(axis, name)
        _optima(axis, part, look)
        ticks_at(axis, data["gamma"].tolist())
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("gamma (draft tokens per cycle)")
        if place % grid.columns == 0:
            basis = str(part["speedup_basis"].iloc[0]) if "speedup_basis" in part else ""
            axis.set_ylabel(Y_LABELS.get(basis, "speedup S (over the baseline)"))
    return figure


def _draw_panel(axes: Axes, part: pd.DataFrame, marks: dict[str, Mark], look: Look) -> None:
    axes.axhline(1.0, color=look.muted, linewidth=1.0, zorder=1)
    moved = shifts(part["gamma"], list(marks))
    for name, curve in each_series(part):
        mark, shift = marks[name], moved[name]
        hollow = HOLLOW | {"markerfacecolor": look.paper}
        beside = shift - 0.3 * shift_step(part["gamma"])
        draw_curve(axes, curve, "gamma", "speedup_theory", mark, beside, **hollow)
        axes.plot(curve["gamma"] + shift, curve["speedup_model"], color=mark.color, **DOTTED)
        draw_curve(axes, curve, "gamma", "speedup", mark, shift)
        if len(curve) > 1:
            for column, flag, ring in (
                ("speedup", "is_measured_optimum", RING),
                ("speedup_theory", "is_formula_optimum", DIAMOND),
            ):
                best = curve[curve[flag]]
                axes.plot(best["gamma"] + shift, best[column], color=mark.color, zorder=4, **ring)
    axes.margins(x=0.07, y=0.1)


def _optima(axes: Axes, part: pd.DataFrame, look: Look) -> None:
    """Both optima side by side, below the title."""
    lines = []
    for name, curve in each_series(part):
        if len(curve) > 1:
            formula = curve.loc[curve["is_formula_optimum"], "gamma"]
            measured = curve.loc[curve["is_measured_optimum"], "gamma"]
            if len(formula) and len(measured):
                lines.append(f"{name} {int(formula.iloc[0])}/{int(measured.iloc[0])}")
    if lines:
        heading = axes.get_title(loc="left")
        best = wrapped("best gamma, formula/measured: " + "; ".join(lines))
        axes.set_title(f"{heading}\n{best}" if heading else best, fontsize=10)


def _keys(look: Look) -> list[Line2D]:
    paper = {"markerfacecolor": look.paper}
    return [
        Line2D([], [], color=look.muted, label="measured S", linewidth=1.9),
        Line2D([], [], color=look.muted, marker="o", label="theory (i.i.d.)", **(HOLLOW | paper)),
        Line2D([], [], color=look.muted, label="model (other prompts)", **DOTTED),
        Line2D([], [], color=look.muted, label="measured optimum", **(RING | {"markersize": 11})),
        Line2D(
            [], [], color=look.muted, label="formula's optimum", **(DIAMOND | {"markersize": 8})
        ),
    ]


KIND = Kind("s_curve", "Speedup against draft length: theory, model, measured", 10, collect, draw)
