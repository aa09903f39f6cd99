"""The page of a figure: panels in a grid, legend and caption below them, so that neither lies over
data.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from dspark_bench.plots.style import Look, Mark

_LEGEND_ROW_IN = 0.215
_CAPTION_ROW_IN = 0.19
_CAPTION_SIZE = 10
_CHARACTER_IN = 0.074
"""Mean width of a caption's character."""
_TITLE_CHARACTER_IN = 0.083
_LEAST_WIDTH_IN = 7.0
_HEADROOM = 0.04


@dataclass(frozen=True, slots=True)
class Grid:
    """rows x columns panels of a size in inches; which axes they share."""

    rows: int
    columns: int
    width_in: float = 4.5
    height_in: float = 3.1
    sharex: Any = False
    sharey: Any = False


def panel_grid(num_panels: int, most_columns: int = 3, **sizes: Any) -> Grid:
    """A grid for panels that stand side by side and wrap."""
    num_columns = min(num_panels, most_columns)
    if num_panels == 4 and most_columns == 3:
        num_columns = 2
    return Grid(-(-num_panels // num_columns), num_columns, **sizes)


def sheet(
    look: Look, grid: Grid, handles: Sequence[Artist], caption: Sequence[str]
) -> tuple[Canvas, "np.ndarray[tuple[int, int], np.dtype[Any]]"]:
    """An empty figure with its axes [rows, columns]; legend and caption are in their place."""
    width_in = max(grid.columns * grid.width_in, _LEAST_WIDTH_IN)
    lines = [
        line
        for text in caption
        for line in textwrap.wrap(text, int((width_in - 0.3) / _CHARACTER_IN))
    ]
    num_columns = _legend_columns(handles, width_in)
    legend_in = _LEGEND_ROW_IN * -(-len(handles) // num_columns) + 0.08 if handles else 0.0
    caption_in = _CAPTION_ROW_IN * len(lines) + 0.12
    foot_in = legend_in + caption_in
    height_in = grid.rows * grid.height_in + foot_in
    figure = Canvas(figsize=(width_in, height_in), layout="constrained")
    share = foot_in / height_in
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0.005, share, 0.99, 1 - share - 0.005), w_pad=0.08, h_pad=0.08)  # type: ignore[call-arg]
    axes = figure.subplots(
        grid.rows, grid.columns, sharex=grid.sharex, sharey=grid.sharey, squeeze=False
    )
    if handles:
        legend = figure.legend(
            handles=list(handles),
            ncols=num_columns,
            loc="lower center",
            bbox_to_anchor=(0.5, caption_in / height_in),
            borderaxespad=0.0,
            borderpad=0.1,
            frameon=False,
            handlelength=2.4,
            columnspacing=1.4,
            labelspacing=0.3,
        )
        legend.set_in_layout(False)
    for place, line in enumerate(reversed(lines)):
        y_in = 0.08 + _CAPTION_ROW_IN * place
        text = figure.text(
            0.5, y_in / height_in, line, ha="center", fontsize=_CAPTION_SIZE, color=look.muted
        )
        text.set_in_layout(False)
    return figure, axes


def _legend_columns(handles: Sequence[Artist], width_in: float) -> int:
    if not handles:
        return 1
    longest = max(len(str(handle.get_label())) for handle in handles)
    fitting = int((width_in - 0.2) / (0.076 * longest + 0.62))
    num_rows = -(-len(handles) // max(1, min(fitting, len(handles))))
    return -(-len(handles) // num_rows)


def title(axes: Axes, text: str, width_in: float = 4.5) -> None:
    """A panel's title, wrapped to its width."""
    axes.set_title(wrapped(text, width_in))


def wrapped(text: str, width_in: float = 4.5) -> str:
    """Text in lines no wider than a panel."""
    width = max(20, int((width_in - 0.7) / _TITLE_CHARACTER_IN))
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False))


def curve_handles(marks: dict[str, Mark]) -> list[Line2D]:
    """Legend entries of curves."""
    return [
        Line2D([], [], color=mark.color, marker=mark.marker, label=label, linewidth=1.8)
        for label, mark in marks.items()
    ]


def from_zero(axes: Iterable[Axes]) -> None:
    """Start at 0. Once everything is drawn: axes that share a scale then all keep their data."""
    for axis in axes:
        highest = float(axis.dataLim.y1)
        room = _HEADROOM * highest if np.isfinite(highest) else 0.0  # a level line has no margin
        axis.set_ylim(0, max(axis.get_ylim()[1], highest + room))


def switch_off(axes: "np.ndarray[tuple[int, int], np.dtype[Any]]", num_used: int) -> list[Axes]:
    """The axes in use, row by row; the others vanish."""
    flat = list(axes.flat)
    for unused in flat[num_used:]:
        unused.set_axis_off()
    return flat[:num_used]
