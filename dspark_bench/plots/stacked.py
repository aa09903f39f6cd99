"""Figures of two or more quantities over one axis: a row each, a column per group of points."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.curves import draw_curve, shifts, ticks_at
from dspark_bench.plots.kind import Plotted
from dspark_bench.plots.selection import each_panel, each_series
from dspark_bench.plots.sheet import Grid, curve_handles, sheet, title
from dspark_bench.plots.style import Look


@dataclass(frozen=True, slots=True)
class Stack:
    """x: the column along the axis, with its label; rows: the columns above one another, each with
    its label; width_in, height_in: of one panel.
    """

    x: str
    x_label: str
    rows: tuple[tuple[str, str], ...]
    width_in: float
    height_in: float


def draw_stack(
    plotted: Plotted, look: Look, stack: Stack
) -> tuple[Canvas, "np.ndarray[tuple[int, int], np.dtype[Any]]"]:
    """The figure and its axes [rows, groups]; curves side by side, ticks at what was measured."""
    data = plotted.data
    marks = look.marks(data["series"])
    panels = each_panel(data)
    grid = Grid(
        len(stack.rows), len(panels), stack.width_in, stack.height_in, sharex="col", sharey="row"
    )
    figure, axes = sheet(look, grid, curve_handles(marks), plotted.caption)
    for column, (name, part) in zip(axes.T, panels, strict=True):
        moved = shifts(part[stack.x], list(marks))
        for axis, (figure_name, _) in zip(column, stack.rows, strict=True):
            for label, curve in each_series(part):
                draw_curve(axis, curve, stack.x, figure_name, marks[label], moved[label])
            ticks_at(axis, part[stack.x].tolist())
        title(column[0], name, stack.width_in)
        column[-1].set_xlabel(stack.x_label)
    for axis, (_, text) in zip(axes[:, 0], stack.rows, strict=True):
        axis.set_ylabel(text)
    return figure, axes
