"""Throughput against the speed of one user, over loads (the paper's Figure 7)."""

from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.curves import plain_curve
from dspark_bench.plots.kind import Kind, Plotted
from dspark_bench.plots.kinds.load import baseline_handle, load_rows
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

_NAMES = ("tok_s_per_user", "throughput_tok_s", "baseline_tok_s_per_user", "baseline_tok_s")


def collect(results: Results) -> Plotted:
    """Every configuration that ran at several loads."""
    rows, notes = load_rows(results, "throughput_tok_s", "tok_s_per_user")
    rows = numbers(rows, *with_interval(*_NAMES))
    rows, further = limit_panels(rows)
    if rows["baseline_tok_s_per_user"].isna().all():
        notes = (*notes, "No baseline: these points do not store its speed per user.")
    data = columns(
        rows, "drafter", "scheduler", "gamma", "load_axis", "level", *with_interval(*_NAMES),
        "n_units", "n_requests",
    )  # fmt: skip
    numbers_say = "Numbers along one curve: the load, requests at once or per second."
    first, *settings = caption(rows, *_NAMES)
    return Plotted(data, (f"{first} {numbers_say}", *settings, *notes, *further))


def draw(plotted: Plotted, look: Look) -> Canvas:
    """One panel per group; up and to the right is better."""
    data = plotted.data
    marks = look.marks(data["series"])
    panels = each_panel(data)
    baseline = Mark(look.muted, "x")
    grid = panel_grid(len(panels), 2, width_in=6.4, height_in=4.6)
    keys = [*curve_handles(marks), baseline_handle(baseline)]
    figure, axes = sheet(look, grid, keys, plotted.caption)
    for axis, (name, part) in zip(switch_off(axes, len(panels)), panels, strict=True):
        for label, curve in each_series(part):
            plain_curve(axis, curve, "tok_s_per_user", "throughput_tok_s", marks[label])
            plain_curve(
                axis, curve, "baseline_tok_s_per_user", "baseline_tok_s", baseline,
                linestyle=":", linewidth=1.2, zorder=2,
            )  # fmt: skip
        highest = str(part.groupby("series")["throughput_tok_s"].max().idxmax())
        for row in part[part["series"] == highest].itertuples():
            axis.annotate(
                f"{row.level:g}", (row.tok_s_per_user, row.throughput_tok_s), (6, 6),
                textcoords="offset points", fontsize=10, color=marks[highest].color,
            )  # fmt: skip
        title(axis, name, grid.width_in)
        axis.set_xlabel("speed of one user (tokens/s, mean over requests)")
        axis.set_ylabel("throughput (tokens/s)")
        axis.set_xlim(0, axis.get_xlim()[1])
        axis.margins(0.08)
    from_zero(axes.flat)
    return figure


KIND = Kind("frontier", "Throughput against per-user speed", 80, collect, draw)
