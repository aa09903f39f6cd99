"""The S curve: speedup against draft length per drafter; theory, model and measurement."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dspark_bench.plots.curves import Curve, Panel
from dspark_bench.plots.style import COLORS, MARKERS, MUTED

MAX_COLUMNS = 3
PANEL_WIDTH_IN = 4.4
PANEL_HEIGHT_IN = 3.3
FOOT_HEIGHT_IN = 1.2
HOLLOW: dict[str, Any] = {
    "marker": "o",
    "markerfacecolor": "white",
    "markersize": 4,
    "linewidth": 1.2,
}
RING: dict[str, Any] = {"marker": "o", "markerfacecolor": "none", "markersize": 12, "linestyle": ""}
Y_LABELS = {
    "closed_throughput": "speedup S (tokens/s over baseline tokens/s)",
    "open_time_per_token": "speedup S (baseline time per token over ours)",
}


def draw_s_curve(panels: Sequence[Panel]) -> Figure:
    """One panel per group of comparable points, on shared axes; empty places are switched off."""
    num_columns = min(len(panels), MAX_COLUMNS)
    num_rows = -(-len(panels) // num_columns)
    height_in = PANEL_HEIGHT_IN * num_rows + FOOT_HEIGHT_IN
    width_in = max(PANEL_WIDTH_IN * num_columns, 6.4)
    figure = Figure(figsize=(width_in, height_in))
    grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
    looks = _looks(panels)
    for place, axes in enumerate(grid.flat):
        if place < len(panels):
            _draw_panel(axes, panels[place], looks)
        else:
            axes.set_axis_off()
    for place in range(len(panels)):
        is_lowest = place + num_columns >= len(panels)
        axes = grid.flat[place]
        axes.tick_params(labelbottom=True)
        if is_lowest:
            axes.set_xlabel("gamma (draft tokens per cycle)")
        if place % num_columns == 0:
            axes.set_ylabel(_y_label(panels[place].basis))
    _add_foot(figure, panels, looks, FOOT_HEIGHT_IN / height_in)
    return figure


def caption(panels: Sequence[Panel]) -> str:
    """What the error bars rest on (n of units and of requests per point), and shared settings."""
    curves = [curve for panel in panels for curve in panel.curves]
    n = _range(np.concatenate([curve.n for curve in curves]))
    n_requests = _range(np.concatenate([curve.n_requests for curve in curves]))
    return (
        f"Error bars: 95 % bootstrap interval over n = {n} prompts or A-B blocks per point "
        f"({n_requests} requests).\n{panels[0].shared}"
    )


def _looks(panels: Sequence[Panel]) -> dict[str, tuple[str, str]]:
    """Colour and marker by curve label, the same in every panel."""
    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves))
    return {
        label: (COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)])
        for place, label in enumerate(labels)
    }


def _draw_panel(axes: Axes, panel: Panel, looks: dict[str, tuple[str, str]]) -> None:
    axes.axhline(1.0, color=MUTED, linewidth=1.0, zorder=1)
    for place, curve in enumerate(panel.curves):
        color, marker = looks[curve.label]
        shift = 0.06 * (place - (len(panel.curves) - 1) / 2)
        _draw_curve(axes, curve, color, marker, shift)
    gammas = sorted({int(gamma) for curve in panel.curves for gamma in curve.gamma})
    axes.set_xticks(gammas)
    axes.set_title(panel.title, loc="left")
    axes.margins(x=0.08, y=0.12)


def _draw_curve(axes: Axes, curve: Curve, color: str, marker: str, shift: float) -> None:
    """`shift` sets the error bars of several drafters side by side."""
    axes.plot(curve.gamma, curve.theory, "--", color=color, **(HOLLOW | {"marker": marker}))
    axes.plot(curve.gamma, curve.model, ":", color=color, marker=marker, markersize=3)
    below = np.nan_to_num(curve.measured - curve.low).clip(min=0)
    above = np.nan_to_num(curve.high - curve.measured).clip(min=0)
    axes.errorbar(
        curve.gamma + shift,
        curve.measured,
        yerr=np.stack([below, above]),
        color=color,
        marker=marker,
        markersize=5,
        linewidth=1.8,
        capsize=3,
        zorder=3,
    )
    if curve.gamma.size == 1:
        return
    best = curve.best
    axes.plot(curve.gamma[best] + shift, curve.measured[best], color=color, zorder=4, **RING)


def _add_foot(
    figure: Figure, panels: Sequence[Panel], looks: dict[str, tuple[str, str]], share: float
) -> None:
    """Legend and caption below the panels, so that neither lies over data."""
    figure.tight_layout(rect=(0, share, 1, 1))
    drafters = [
        Line2D([], [], color=color, marker=marker, label=label)
        for label, (color, marker) in looks.items()
    ]
    kinds = [
        Line2D([], [], color=MUTED, linestyle="-", label="measured, 95 % interval"),
        Line2D([], [], color=MUTED, linestyle="--", label="theory (i.i.d. formula)", **HOLLOW),
        Line2D([], [], color=MUTED, linestyle=":", marker=".", label="model (from other prompts)"),
        Line2D([], [], color=MUTED, label="measured optimum", **RING),
    ]
    height_in = figure.get_figheight()
    for handles, num_columns, bottom_in in ((drafters, 4, 0.88), (kinds, 2, 0.4)):
        figure.legend(
            handles=handles,
            ncols=min(len(handles), num_columns),
            bbox_to_anchor=(0.5, bottom_in / height_in),
            loc="lower center",
            frameon=False,
            handlelength=2.6,
        )
    figure.text(0.5, 0.06 / height_in, caption(panels), ha="center", fontsize=7, color=MUTED)


def _y_label(basis: str) -> str:
    return Y_LABELS.get(basis, "speedup S (over the baseline)")


def _range(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> str:
    known = values[~np.isnan(values)]
    if not known.size:
        return "unknown"
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low} to {high}"
