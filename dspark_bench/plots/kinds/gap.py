"""The waterfall from theoretical to measured speedup, one replacement at a time."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from dspark_bench.plots.kind import Kind, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    best_of,
    caption,
    columns,
    drafter_curves,
    in_order,
    left_out,
    name_places,
    require,
    speculative_rows,
    tidy_names,
    with_interval,
)
from dspark_bench.plots.settings import split
from dspark_bench.plots.sheet import panel_grid, sheet, switch_off, title
from dspark_bench.plots.style import HATCHES, Look

TERMS = {
    "gap_truncation": "truncation",
    "gap_non_iid": "non-i.i.d.",
    "gap_draft_cost": "draft cost",
    "gap_verify_cost": "verify cost",
    "gap_overhead": "overhead",
    "gap_prefill_and_batching": "prefill,\nbatching",
}
_HEADROOM = 0.14
MOST = 6


def collect(results: Results) -> Plotted:
    """Per group of comparable points and drafter, the point with the largest measured speedup."""
    rows = require(speculative_rows(results), "speedup", "speedup_theory", *TERMS)
    rows, notes = name_places(rows, ["gamma"], drafter_curves(rows))
    rows = _widest(rows)
    rows = in_order(rows)
    sizes = rows.groupby("panel")["panel"].transform("size")
    rows = best_of(rows.loc[sizes.sort_values(ascending=False, kind="stable").index], "speedup")
    further = left_out(len(rows) - MOST, "further waterfall")
    rows = tidy_names(rows[:MOST])
    gammas = rows["gamma"].astype(int).astype(str)
    names = (
        rows["series"] + " at gamma " + gammas + rows["panel"].map(lambda t: f", {t}" if t else "")
    )
    rows = rows.assign(waterfall=names)
    data = columns(
        rows, "waterfall", "drafter", "gamma", *with_interval("speedup_theory"), *TERMS,
        *with_interval("speedup"), "n_units", "n_requests",
    )  # fmt: skip
    chosen = "Of each drafter the draft length with the largest measured S. The terms sum exactly."
    first, *settings = caption(rows, "speedup_theory", "speedup")
    return Plotted(data, (f"{first} {chosen}", *settings, *notes, *further))


def _widest(rows: pd.DataFrame) -> pd.DataFrame:
    """Curves over several draft lengths if there are any: they have an optimum to explain."""
    wide = rows[rows.groupby(["panel", "series"])["gamma"].transform("nunique") > 1]
    return wide if len(wide) else rows


def draw(plotted: Plotted, look: Look) -> Canvas:
    """One waterfall per panel."""
    falls = list(split(plotted.data, ["waterfall"]))
    grid = panel_grid(len(falls), 2, width_in=5.6, height_in=3.4, sharex=True, sharey=True)
    keys = [
        Patch(facecolor=look.colors[0], label="S, theory and measured"),
        Patch(facecolor=look.colors[1], hatch=HATCHES[1], edgecolor=look.paper, label="loses"),
        Patch(facecolor=look.colors[2], hatch=HATCHES[2], edgecolor=look.paper, label="gains"),
    ]
    figure, axes = sheet(look, grid, keys, plotted.caption)
    for place, (axis, fall) in enumerate(zip(switch_off(axes, len(falls)), falls, strict=True)):
        _draw_fall(axis, fall.iloc[0], look)
        title(axis, str(fall["waterfall"].iloc[0]), grid.width_in)
        axis.tick_params(axis="x", labelbottom=True)
        if place % grid.columns == 0:
            axis.set_ylabel("speedup S (ratio)")
    return figure


def _draw_fall(axes: Axes, row: "pd.Series[float]", look: Look) -> None:
    names = ["theory", *TERMS.values(), "measured"]
    heights = [row["speedup_theory"], *(row[term] for term in TERMS), row["speedup"]]
    level, bottoms, tops = 0.0, [], []
    for place, height in enumerate(heights):
        is_whole = place in (0, len(heights) - 1)
        start = 0.0 if is_whole else level
        level = start + height
        bottoms.append(min(start, level))
        tops.append(max(start, level))
        color = look.colors[0] if is_whole else look.colors[1 if height < 0 else 2]
        hatch = HATCHES[0 if is_whole else 1 if height < 0 else 2]
        axes.bar(
            place, abs(height), 0.66, bottoms[-1], color=color, hatch=hatch, edgecolor=look.paper
        )
        if not is_whole:
            axes.plot([place - 1.33, place + 0.33], [start, start], color=look.muted, linewidth=0.8)
    for place, name in ((0, "speedup_theory"), (len(heights) - 1, "speedup")):
        low, high = row.get(f"{name}_ci_low"), row.get(f"{name}_ci_high")
        if pd.notna(low) and pd.notna(high):
            axes.plot([place, place], [low, high], color=look.ink, linewidth=1.8)
            tops[place] = max(tops[place], float(high))
    for place, height in enumerate(heights):
        is_whole = place in (0, len(heights) - 1)
        text = f"{height:.2f}" if is_whole else f"{round(height, 2) + 0.0:+.2f}"  # no -0.00
        axes.annotate(
            text, (place, tops[place]), (0, 3), textcoords="offset points", ha="center", fontsize=10
        )
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=10)
    axes.set_ylim(min(0.0, min(bottoms)), max(max(tops) * (1 + _HEADROOM), axes.get_ylim()[1]))
    axes.grid(False, axis="x")


KIND = Kind("gap", "From theoretical to measured speedup, term by term", 20, collect, draw)
