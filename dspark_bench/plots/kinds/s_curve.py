"""The S curve: speedup against draft length per drafter; theory, model and measurement.

Theory is the i.i.d. formula (Leviathan et al. 2023) with each point's own alpha and draft cost.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from dspark_bench.plots.curves import draw_curve, shift_step, ticks_at
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    best_of,
    caption,
    columns,
    drafter_curves,
    each_panel,
    each_series,
    in_order,
    left_out,
    limit_panels,
    name_places,
    numbers,
    require,
    speculative_rows,
    with_interval,
)
from dspark_bench.plots.sheet import curve_handles, panel_grid, sheet, switch_off, wrapped
from dspark_bench.plots.style import Look, Mark

HOLLOW: dict[str, Any] = {"markersize": 4.5, "linewidth": 1.3, "linestyle": "--"}
DOTTED: dict[str, Any] = {"marker": ".", "markersize": 4, "linewidth": 1.3, "linestyle": ":"}
RING: dict[str, Any] = {"marker": "o", "markerfacecolor": "none", "markersize": 13, "linestyle": ""}
DIAMOND: dict[str, Any] = RING | {"marker": "D", "markersize": 10}
MOST_PANELS = 9
GHOST: dict[str, Any] = {"linewidth": 1.0, "alpha": 0.6, "zorder": 1.5}
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
    rows, further = limit_panels(rows, _fitting(rows))
    known = rows[rows["speedup_theory"].notna()]
    rows = rows.assign(
        is_measured_optimum=rows.index.isin(best_of(rows, "speedup").index),
        is_formula_optimum=rows.index.isin(best_of(known, "speedup_theory").index),
    )
    data = columns(
        in_order(rows, "gamma"),
        *("drafter", "gamma", *with_interval("speedup", "speedup_theory"), "speedup_model"),
        *("n_units", "n_requests", "speedup_basis", "is_measured_optimum", "is_formula_optimum"),
    )
    optimum = "Optima: the largest S among the draft lengths measured."
    first, *settings = caption(rows, "speedup")
    return Plotted(data, (f"{first} {optimum}", *settings, *notes, *more, *further))


def _fitting(rows: pd.DataFrame) -> int:
    """How many groups, those with the most points first, fit with a panel per drafter."""
    groups = rows.groupby("panel", sort=False)["series"].agg(["size", "nunique"])
    ordered = groups.sort_values("size", ascending=False, kind="stable")
    return max(1, int((ordered["nunique"].cumsum() <= MOST_PANELS).sum()))


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
    """One panel per drafter and group of comparable points; the other drafters' S in grey."""
    data = plotted.data
    marks = look.marks(data["series"])
    panels = [(name, part, each_series(part)) for name, part in each_panel(data)]
    num_panels = sum(len(curves) for _, _, curves in panels)
    grid = panel_grid(num_panels, _columns(panels), width_in=4.4, height_in=3.4)
    has_others = any(len(curves) > 1 for _, _, curves in panels)
    keys = [*curve_handles(marks), *_keys(look, has_others)]
    figure, axes = sheet(look, grid, keys, plotted.caption)
    places = [(name, part, *curve) for name, part, curves in panels for curve in curves]
    for place, (axis, (name, part, label, curve)) in enumerate(
        zip(switch_off(axes, len(places)), places, strict=True)
    ):
        _draw_others(axis, part[part["series"] != label], look)
        _draw_curve(axis, curve, marks[label], look)
        heading = wrapped(f"{label}, {name}" if name else label, grid.width_in)
        axis.set_title("\n".join(filter(None, (heading, _optima(curve)))), fontsize=10.5)
        ticks_at(axis, part["gamma"].tolist())
        axis.set_xlabel("gamma (draft tokens per cycle)")
        if place % grid.columns == 0:
            basis = str(part["speedup_basis"].iloc[0]) if "speedup_basis" in part else ""
            axis.set_ylabel(Y_LABELS.get(basis, "speedup S (over the baseline)"))
    _share_scales(axes.flat, [len(curves) for _, _, curves in panels])
    return figure


def _share_scales(axes: Iterable[Axes], counts: Sequence[int]) -> None:
    """One y scale per group: its drafters are to be compared, other groups are not."""
    left = iter(axes)
    for count in counts:
        own = list(islice(left, count))
        ends = [axis.get_ylim() for axis in own]
        for axis in own:
            axis.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def _columns(panels: Sequence[tuple[str, pd.DataFrame, Sequence[object]]]) -> int:
    """As many as drafters, where every group has the same number: a row is then a group."""
    counts = {len(curves) for _, _, curves in panels}
    count = counts.pop()
    return count if not counts and 2 <= count <= 4 else 3


def _draw_others(axes: Axes, others: pd.DataFrame, look: Look) -> None:
    for _, curve in each_series(others):
        axes.plot(curve["gamma"], curve["speedup"], color=look.muted, **GHOST)


def _draw_curve(axes: Axes, curve: pd.DataFrame, mark: Mark, look: Look) -> None:
    axes.axhline(1.0, color=look.muted, linewidth=1.0, zorder=1)
    step = shift_step(curve["gamma"])
    hollow = HOLLOW | {"markerfacecolor": look.paper}
    draw_curve(axes, curve, "gamma", "speedup_theory", mark, -step, **hollow)
    axes.plot(curve["gamma"], curve["speedup_model"], color=mark.color, **DOTTED)
    draw_curve(axes, curve, "gamma", "speedup", mark, step)
    if len(curve) > 1:
        for column, flag, shift, ring in (
            ("speedup", "is_measured_optimum", step, RING),
            ("speedup_theory", "is_formula_optimum", -step, DIAMOND),
        ):
            best = curve[curve[flag]]
            axes.plot(best["gamma"] + shift, best[column], color=mark.color, zorder=4, **ring)
    axes.margins(x=0.07, y=0.1)


def _optima(curve: pd.DataFrame) -> str:
    """Both optima side by side, for the title; empty for a curve of one point."""
    formula = curve.loc[curve["is_formula_optimum"], "gamma"]
    measured = curve.loc[curve["is_measured_optimum"], "gamma"]
    if len(curve) < 2 or formula.empty or measured.empty:
        return ""
    return f"best gamma: formula {formula.iloc[0]:.0f}, measured {measured.iloc[0]:.0f}"


def _keys(look: Look, has_others: bool) -> list[Line2D]:
    paper = {"markerfacecolor": look.paper}
    others = Line2D([], [], color=look.muted, label="measured S of the others", **GHOST)
    return [
        Line2D([], [], color=look.muted, label="measured S", linewidth=1.9),
        Line2D([], [], color=look.muted, marker="o", label="theory (i.i.d.)", **(HOLLOW | paper)),
        Line2D([], [], color=look.muted, label="model (other prompts)", **DOTTED),
        Line2D([], [], color=look.muted, label="measured optimum", **(RING | {"markersize": 11})),
        Line2D(
            [], [], color=look.muted, label="formula's optimum", **(DIAMOND | {"markersize": 8})
        ),
        *([others] if has_others else []),
    ]


KIND = Kind("s_curve", "Speedup against draft length: theory, model, measured", 10, collect, draw)
