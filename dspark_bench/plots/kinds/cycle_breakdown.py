"""Where a cycle's time goes: its stages in steps of the paired baseline."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dspark_bench.plots.columns import STAGES
from dspark_bench.plots.kind import Kind, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    caption,
    columns,
    drafter_curves,
    in_order,
    left_out,
    name_places,
    numbers,
    require,
    speculative_rows,
    tidy_names,
    with_interval,
)
from dspark_bench.plots.sheet import Grid, sheet
from dspark_bench.plots.steps import IN_STEPS, STEP, in_steps, steps_of
from dspark_bench.plots.style import HATCHES, Look

_NAMES = ("draft", "schedule", "verify", "accept", "engine")
_COLORS = (0, 3, 1, 2, 4)
MOST_BARS = 18


def collect(results: Results) -> Plotted:
    """Every point's mean cycle; of many, those of the largest groups."""
    rows = require(speculative_rows(results), *STAGES, STEP)
    rows = in_steps(numbers(rows, *with_interval("cycle_s", STEP)), *STAGES, "cycle_s", STEP)
    rows, notes = name_places(rows, ["gamma"], drafter_curves(rows))
    kept = _largest_groups(in_order(rows, "gamma"))
    notes = (*notes, *left_out(len(rows) - len(kept), "further point"))
    rows = tidy_names(kept)
    data = columns(
        rows, "drafter", "gamma", *map(steps_of, STAGES),
        *with_interval(*map(steps_of, ("cycle_s", STEP))),
        *STAGES, *with_interval("cycle_s", STEP), "n_units", "n_requests",
    )  # fmt: skip
    means = "Means over cycles without prefill work."
    first, *settings = caption(rows, "cycle_s", STEP, what="Lines")
    return Plotted(data, (f"{first} {means} {IN_STEPS}", *settings, *notes))


def _largest_groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Groups with the most points, as many as there is room for; cut off if the first is larger."""
    sizes = rows.groupby("panel", sort=False).size().sort_values(ascending=False, kind="stable")
    fitting = sizes.index[sizes.cumsum() <= MOST_BARS]
    names = fitting if len(fitting) else sizes.index[:1]
    kept: pd.DataFrame = rows[rows["panel"].isin(names)][:MOST_BARS]
    return kept


def draw(plotted: Plotted, look: Look) -> Canvas:
    """A stacked bar per point."""
    data = plotted.data
    keys = [
        Patch(facecolor=look.colors[color], hatch=hatch, edgecolor=look.paper, label=name)
        for name, color, hatch in zip(_NAMES, _COLORS, HATCHES, strict=True)
    ]
    step = Line2D(
        [], [], color=look.ink, marker="D", linestyle="", markerfacecolor=look.paper,
        label="one baseline step",
    )  # fmt: skip
    has_panels = bool(data["panel"].any())
    grid = Grid(1, 1, 9.0, 1.0 + (0.44 if has_panels else 0.36) * len(data))
    figure, axes = sheet(look, grid, [*keys, step], plotted.caption)
    axis = axes[0, 0]
    left = pd.Series(0.0, index=data.index)
    for stage, color, hatch in zip(STAGES, _COLORS, HATCHES, strict=True):
        width = data[steps_of(stage)]
        axis.barh(
            data.index, width, 0.66, left, color=look.colors[color], hatch=hatch,
            edgecolor=look.paper,
        )  # fmt: skip
        left = left + width
    _interval(axis, data, steps_of("cycle_s"), 0.2, look)
    axis.axvline(1.0, color=look.muted, linewidth=1.0, zorder=0)
    axis.plot(
        data[steps_of(STEP)],
        data.index - 0.2,
        "D",
        color=look.ink,
        markerfacecolor=look.paper,
        markersize=5,
    )
    _interval(axis, data, steps_of(STEP), -0.2, look)
    labels = _labels(data)
    axis.set_yticks(data.index, labels, fontsize=10)
    axis.set_ylim(len(data) - 0.4, -0.6)
    axis.grid(False, axis="y")
    axis.set_xlabel("time per cycle (steps of the point's own baseline)")
    return figure


def _labels(data: pd.DataFrame) -> list[str]:
    """What tells a bar from the others: drafter and gamma, then whatever else varies; and what a
    step of its baseline takes.
    """
    names = data["series"] + ", gamma " + data["gamma"].map("{:g}".format)
    step = data[STEP].map(lambda seconds: f" (step {seconds * 1e3:.3g} ms)")
    if names.nunique() == 1 and data["panel"].nunique() == len(data) > 1:
        return (data["panel"] + step).tolist()
    others = data["panel"].map(lambda text: f"\n{text}" if text else "")
    return (names + step + others).tolist()


def _interval(axis: Axes, data: pd.DataFrame, name: str, shift: float, look: Look) -> None:
    """Above the middle of a bar: the baseline's step; below: the whole cycle."""
    low, high = data[f"{name}_ci_low"], data[f"{name}_ci_high"]
    known = low.notna() & high.notna()
    axis.hlines(data.index[known] + shift, low[known], high[known], color=look.ink, linewidth=1.6)


KIND = Kind("cycle_breakdown", "Where a cycle's time goes", 30, collect, draw)
