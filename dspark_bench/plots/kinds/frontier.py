"""Throughput against the speed of one user, over loads (the paper's Figure 7).

Points measured at different minutes each have a baseline of their own, and the machine's drift lies
between them. So every point is drawn as what it gained over its own baseline, times one common
baseline per load: the median of the baselines measured at that load.
"""

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from dspark_bench.plots.curves import plain_curve
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.kinds.load import load_rows
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    caption,
    columns,
    each_panel,
    each_series,
    limit_panels,
    numbers,
    with_interval,
)
from dspark_bench.plots.sheet import curve_handles, from_zero, panel_grid, sheet, switch_off, title
from dspark_bench.plots.style import Look, Mark

_AXES = (
    ("tok_s_per_user", "baseline_tok_s_per_user"),
    ("throughput_tok_s", "baseline_tok_s"),
)
_NAMES = tuple(name for pair in _AXES for name in pair)
_COMMON, _NORMALISED = "common_", "normalised_"
_BASELINE = "common baseline of each load"
_HOW = (
    "Normalised: each point's gain over its own paired baseline, times the median baseline of its "
    "load. Numbers along one curve: the load, requests at once or per second."
)


def collect(results: Results) -> Plotted:
    """Every configuration that ran at several loads."""
    rows, notes = load_rows(results, "throughput_tok_s", "tok_s_per_user")
    rows = numbers(rows, *with_interval(*_NAMES, "speedup"))
    if rows["baseline_tok_s_per_user"].isna().all():
        raise NotSupportedError("no point stores its baseline's speed per user")
    rows, further = limit_panels(normalised(rows.dropna(subset=list(_NAMES))))
    derived = [
        *(f"{_NORMALISED}{name}" for name, _ in _AXES),
        *with_interval(f"{_NORMALISED}throughput_tok_s")[1:],
        *(f"{_COMMON}{name}" for _, name in _AXES),
    ]
    data = columns(
        rows, "drafter", "scheduler", "gamma", "load_axis", "level", *derived,
        *_NAMES, "n_units", "n_requests",
    )  # fmt: skip
    first, *settings = caption(rows, "speedup")
    return Plotted(data, (f"{first} {_HOW}", *settings, *notes, *further))


def normalised(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with `common_baseline_*`, the median over each panel's points of one load, and
    `normalised_*`: own figure over own baseline, times that. In a closed loop the ratio of
    throughputs is S, whose interval is kept.
    """
    for name, baseline in _AXES:
        common = rows.groupby(["panel", "level"])[baseline].transform("median")
        own = rows[name] / rows[baseline] * common
        rows = rows.assign(**{f"{_COMMON}{baseline}": common, f"{_NORMALISED}{name}": own})
    is_closed = rows["load_axis"] == "concurrency"
    common = rows[f"{_COMMON}baseline_tok_s"].where(is_closed)
    ends = {
        f"{_NORMALISED}throughput_tok_s_ci_{end}": rows[f"speedup_ci_{end}"] * common
        for end in ("low", "high")
    }
    return rows.assign(**ends)


def draw(plotted: Plotted, look: Look) -> Canvas:
    """One panel per group; up and to the right is better."""
    data = plotted.data
    marks = look.marks(data["series"])
    panels = each_panel(data)
    baseline = Mark(look.muted, "x")
    grid = panel_grid(len(panels), 2, width_in=6.4, height_in=4.6)
    keys = [*curve_handles(marks), _baseline_handle(baseline)]
    figure, axes = sheet(look, grid, keys, plotted.caption)
    for axis, (name, part) in zip(switch_off(axes, len(panels)), panels, strict=True):
        x, y = (f"{_NORMALISED}{name}" for name, _ in _AXES)
        for label, curve in each_series(part):
            plain_curve(axis, curve, x, y, marks[label])
        loads = part.drop_duplicates("level").sort_values("level")
        common = (f"{_COMMON}{name}" for _, name in _AXES)
        plain_curve(
            axis, loads, next(common), next(common), baseline,
            linestyle=":", linewidth=1.2, zorder=2,
        )  # fmt: skip
        highest = str(part.groupby("series")[y].max().idxmax())
        for _, row in part[part["series"] == highest].iterrows():
            axis.annotate(
                f"{row['level']:g}", (row[x], row[y]), (6, 6),
                textcoords="offset points", fontsize=10, color=marks[highest].color,
            )  # fmt: skip
        title(axis, name, grid.width_in)
        axis.set_xlabel("speed of one user (tokens/s, mean over requests, normalised)")
        axis.set_ylabel("throughput (tokens/s, normalised)")
        axis.set_xlim(0, axis.get_xlim()[1])
        axis.margins(0.08)
    from_zero(axes.flat)
    return figure


def _baseline_handle(mark: Mark) -> Line2D:
    """Legend entry of the common baselines."""
    return Line2D([], [], color=mark.color, marker=mark.marker, linestyle=":", label=_BASELINE)


KIND = Kind(
    "frontier", "Throughput against per-user speed, over one baseline per load", 80, collect, draw
)
