"""One run over time: queue, batch and verify budget of the speculative arm and its baseline."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dspark_bench.plots.best_table import best_table
from dspark_bench.plots.kind import Kind, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import numbers, speculative_rows
from dspark_bench.plots.settings import shared_settings
from dspark_bench.plots.sheet import Grid, sheet
from dspark_bench.plots.style import Look

FILE = "timeline.csv"
_NEEDED = {
    *("arm", "time_s", "duration_s", "num_cycles", "num_waiting", "batch_size", "verify_budget")
}
_LEAST_IDLE = 0.002
"""Share of a run from which on a pause is shown."""
_ROWS = (
    ("num_waiting", "queue\n(requests)"),
    ("batch_size", "batch\n(requests)"),
    ("verify_budget", "verify budget\n(tokens/request)"),
)


def collect(results: Results) -> Plotted:
    """The point with the longest queue, then the largest batch, then the liveliest budget."""
    rows = numbers(speculative_rows(results), "queue_max", "concurrency").fillna(
        {"queue_max": 0.0, "concurrency": 0.0}
    )
    best = best_table(
        results,
        rows,
        (FILE, _NEEDED),
        _liveliness,
        "no point has a timeline (several requests at once, or a queue)",
    )
    first = (
        f"Point {best.row['sweep']}/{best.row['point_id']}, one of {best.num_points} with a "
        f"timeline: first measured run of each arm, means over stretches of {_cycles(best.table)}; "
        "one run, so there is no interval."
    )
    data = best.table.assign(sweep=best.row["sweep"], point_id=best.row["point_id"])
    return Plotted(data, (first, shared_settings(pd.DataFrame([best.row]))))


def _liveliness(row: "pd.Series[Any]", table: pd.DataFrame) -> tuple[float, ...]:
    """A moving budget first, then the longest queue, the largest batch, the widest swing."""
    own = table[table["arm"] == "speculative"]
    swing = float(own["verify_budget"].std() or 0.0)
    return float(swing > 0), row["queue_max"], row["concurrency"], swing


def _cycles(table: pd.DataFrame) -> str:
    """How many cycles a stretch holds."""
    low, high = int(table["num_cycles"].min()), int(table["num_cycles"].max())
    return "one cycle" if high == 1 else f"{low} to {high} cycles"


def draw(plotted: Plotted, look: Look) -> Canvas:
    """Queue, batch and budget on one time axis."""
    data = plotted.data
    arms = {
        "baseline": {"color": look.muted, "linestyle": "--", "linewidth": 1.3},
        "speculative": {"color": look.colors[0], "linestyle": "-", "linewidth": 1.7},
    }
    keys = [Line2D([], [], label=arm, **style) for arm, style in arms.items()]  # type: ignore[arg-type]
    figure, axes = sheet(look, Grid(3, 1, 8.6, 1.7, sharex=True), keys, plotted.caption)
    for axis, (name, text) in zip(axes[:, 0], _ROWS, strict=True):
        for arm, style in arms.items():
            own = data[data["arm"] == arm]
            if own.empty or (name == "verify_budget" and arm == "baseline"):
                continue
            axis.step(*_steps(own, name), where="post", **style)
        axis.set_ylabel(text)
        axis.set_ylim(0, max(1.0, 1.08 * float(data[name].max())))
        axis.margins(x=0.01)
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[-1, 0].set_xlabel("time since the run began (s)")
    return figure


def _steps(own: pd.DataFrame, name: str) -> tuple[list[float], list[float]]:
    """Times and values of a step line; while the engine idles nothing waits and nothing runs."""
    ends = own["time_s"] + own["duration_s"]
    least_s = _LEAST_IDLE * float(ends.iloc[-1])
    idle = float("nan") if name == "verify_budget" else 0.0
    times, values = [], []
    following = [*own["time_s"].iloc[1:], float("inf")]
    for start, end, value, after in zip(own["time_s"], ends, own[name], following, strict=True):
        times.append(float(start))
        values.append(float(value))
        if after - end > least_s:
            times.append(float(end))
            values.append(idle if after < float("inf") else float(value))
    return times, values


KIND = Kind("timeline", "One run over time: queue, batch, budget", 110, collect, draw)
