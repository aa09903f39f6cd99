"""Acceptance along the draft (the paper's Figure 2): agreement, conditional, and their counts.

Conditional acceptance looks at the drafts that survived so far, the easy contexts; agreement counts
every context, reached or not.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from dspark_bench.plots.curves import draw_curve, ticks_at
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    best_supported,
    caption,
    drafter_curves,
    each_panel,
    each_series,
    in_order,
    limit_panels,
    name_places,
    require,
    speculative_rows,
    unselected,
)
from dspark_bench.plots.settings import LOAD_SETTINGS, split
from dspark_bench.plots.sheet import Grid, curve_handles, sheet
from dspark_bench.plots.style import Look, Mark

FREE = (*LOAD_SETTINGS, "scheduler", "cost", "calibrator", "threads", "speedup_basis", "machine")
"""Settings that acceptance does not depend on."""
MOST_ROWS = 4
ENOUGH = 20
"""Points that fewer drafts or contexts stand behind are drawn faint and not joined."""
_NAMED = ("acceptance",)


def collect(results: Results) -> Plotted:
    """Per group and drafter the best supported point, all at one draft length."""
    rows = require(unselected(speculative_rows(results)), "n_cycles")
    rows, notes = name_places(rows, ["point_id", "sweep"], drafter_curves(rows), (*FREE, "gamma"))
    usual = _most_shared(rows)
    rows = pd.concat([_one_length(part, usual) for part in split(rows, ["panel"])])
    rows = best_supported(rows, "panel", "series")
    found = [line for _, row in rows.iterrows() for line in _points(row, results)]
    if not found:
        raise NotSupportedError("no point has acceptance by position")
    data = in_order(pd.DataFrame(found), "curve", "position")
    has_intervals = data["value_ci_low"].notna().any()
    data, further = limit_panels(data, MOST_ROWS, "value_ci_low" if has_intervals else "value")
    shown = rows[rows["point_id"].isin(set(data["point_id"]))]
    first, *settings = caption(shown.assign(acceptance_ci_low=data["value_ci_low"].max()), *_NAMED)
    if (data["count"] < ENOUGH).any():
        first += f" Faint: n below {ENOUGH}."
    return Plotted(data.reset_index(drop=True), (first, *settings, *notes, *further))


def _most_shared(rows: pd.DataFrame) -> float:
    """The draft length that most groups and drafters share, the longest of these."""
    pairs = rows.drop_duplicates(["gamma", "panel", "series"]).groupby("gamma").size()
    return float(pairs.index[pairs == pairs.max()].max())


def _one_length(rows: pd.DataFrame, usual: float) -> pd.DataFrame:
    """Rows of a group at the usual draft length, or at the one that it has most of."""
    chosen = usual if (rows["gamma"] == usual).any() else _most_shared(rows)
    kept: pd.DataFrame = rows[rows["gamma"] == chosen]
    return kept


def _points(row: "pd.Series[Any]", results: Results) -> list[dict[str, Any]]:
    metrics = results.metrics[row["sweep"], row["point_id"]]
    counts = metrics.get("position_counts") or {}
    intervals = metrics.get("position_intervals") or {}
    conditional = _sum(counts.get("accepted"), counts.get("rejected"))
    found = []
    for curve, n in (
        ("agreement", counts.get("agreement")),
        ("conditional_acceptance", conditional),
    ):
        values = (metrics.get("positions") or {}).get(curve) or []
        bounds = intervals.get(curve) or {}
        for place, value in enumerate(values):
            if value is not None:
                found.append(
                    {
                        **{key: row[key] for key in ("panel", "series", "sweep", "point_id")},
                        "gamma": int(row["gamma"]),
                        "curve": curve,
                        "position": place + 1,
                        "value": value,
                        "value_ci_low": _at(bounds.get("low"), place),
                        "value_ci_high": _at(bounds.get("high"), place),
                        "count": _at(n, place),
                    }
                )
    return found


def _sum(first: Any, second: Any) -> list[float] | None:
    if not first or not second:
        return None
    return [a + b for a, b in zip(first, second, strict=False)]


def _at(values: Any, place: int) -> float:
    if not values or place >= len(values) or values[place] is None:
        return float("nan")
    return float(values[place])


def draw(plotted: Plotted, look: Look) -> Canvas:
    """A row of three panels per group: agreement, conditional acceptance, counts."""
    data = plotted.data
    marks = look.marks(data["series"])
    panels = each_panel(data)
    grid = Grid(len(panels), 3, 3.9, 3.1, sharex="row", sharey="col")
    keys = [
        Line2D([], [], color=look.muted, linestyle="-", label="counts: drafts decided there"),
        Line2D([], [], color=look.muted, linestyle="--", label="counts: contexts of agreement"),
    ]
    figure, axes = sheet(look, grid, [*curve_handles(marks), *keys], plotted.caption)
    for row, (name, part) in zip(axes, panels, strict=True):
        for axis, curve, text in zip(
            row,
            ("agreement", "conditional_acceptance", None),
            ("agreement, every context", "conditional, survivors only", "n behind each point"),
            strict=True,
        ):
            _draw_axes(axis, part, curve, marks)
            axis.set_title(f"{name}\n{text}" if name and axis is row[0] else text)
            axis.tick_params(labelbottom=True)
            axis.set_xlabel("draft position")
            ticks_at(axis, sorted(set(part["position"])))
        row[0].set_ylabel("acceptance probability")
    return figure


def _draw_axes(axes: Axes, part: pd.DataFrame, curve: str | None, marks: dict[str, Mark]) -> None:
    for name, points in each_series(part):
        mark = marks[name]
        if curve is not None:
            own = points[points["curve"] == curve]
            is_faint = own["count"] < ENOUGH
            draw_curve(axes, own[~is_faint], "position", "value", mark)
            draw_curve(axes, own[is_faint], "position", "value", mark, linestyle="", alpha=0.35)
            continue
        for which, line in (("conditional_acceptance", "-"), ("agreement", "--")):
            known = points[(points["curve"] == which) & (points["count"] > 0)]
            axes.plot(
                known["position"], known["count"], line, color=mark.color, marker=mark.marker,
                markersize=4,
            )  # fmt: skip
    if curve is None:
        if (part["count"] > 0).any():
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel("count")
    else:
        axes.set_ylim(0, 1.02)
        axes.set_yticks(np.linspace(0, 1, 6))
        if (part["curve"] != curve).all():
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center")


KIND = Kind("acceptance_by_position", "Acceptance by draft position", 40, collect, draw)
