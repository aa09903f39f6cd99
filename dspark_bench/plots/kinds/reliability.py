"""Do confidences hold? Reliability diagrams of survival (the paper's Figure 6).

Below each diagram the histogram of predictions; ECE and AUC before and after calibration.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from dspark_bench.plots.best_table import best_table
from dspark_bench.plots.kind import Kind, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import numbers, speculative_rows, unselected
from dspark_bench.plots.settings import shared_settings
from dspark_bench.plots.sheet import Grid, curve_handles, sheet
from dspark_bench.plots.style import Look, Mark

FILE = "reliability.csv"
NUM_BINS = 15
ENOUGH = 20
"""Bins with fewer drafts are drawn faint and not joined."""
_NEEDED = {"stage", "position", "bin", "count", "num_survived", "mean_predicted"}
_MOST_POSITIONS = 4
_ENOUGH_POSITIONS = 7
"""The paper's draft length; longer drafts are no better for this figure."""
_STAGES = ("before", "after")


def collect(results: Results) -> Plotted:
    """A calibrated point if there is any, of these one with long drafts, of these the one with the
    most cycles; 4 positions of it.
    """
    rows = numbers(unselected(speculative_rows(results)), "n_cycles").fillna({"n_cycles": 0.0})
    best = best_table(
        results,
        rows,
        (FILE, _NEEDED),
        _usefulness,
        "no point has reliability bins (a drafter with confidences is needed)",
    )
    return _plotted(best.row, best.table, results, best.num_points)


def _usefulness(row: "pd.Series[Any]", table: pd.DataFrame) -> tuple[float, ...]:
    num_positions = min(table["position"].nunique(), _ENOUGH_POSITIONS)
    return float(_is_calibrated(table)), num_positions, row["n_cycles"]


def _is_calibrated(table: pd.DataFrame) -> bool:
    """Whether calibration changed anything."""
    values = ["position", "bin", "count", "mean_predicted"]
    stages = [
        table.loc[table["stage"] == stage, values].reset_index(drop=True) for stage in _STAGES
    ]
    return not stages[0].equals(stages[1])


def _plotted(
    row: "pd.Series[Any]", table: pd.DataFrame, results: Results, num_points: int
) -> Plotted:
    positions = _some(sorted(set(table["position"])))
    table = table[table["position"].isin(positions)]
    share = table["num_survived"] / table["count"]
    low, high = wilson(table["num_survived"], table["count"])
    scores = results.metrics[row["sweep"], row["point_id"]].get("calibration") or {}
    data = table.assign(
        observed=share, observed_ci_low=low, observed_ci_high=high,
        **{
            name: [_score(scores, stage, name, position) for stage, position in zip(
                table["stage"], table["position"], strict=True)]
            for name in ("ece", "auc", "n")
        },
        sweep=row["sweep"], point_id=row["point_id"],
    )  # fmt: skip
    first = (
        "Survival: the first k drafts are all accepted. Bars: 95 % Wilson interval of a bin's "
        f"share (faint: fewer than {ENOUGH} drafts); n: drafts decided. "
        f"Point {row['sweep']}/{row['point_id']}, one of {num_points}."
    )
    if not _is_calibrated(table):
        first += " No calibration was applied: before and after are the same."
    return Plotted(data.reset_index(drop=True), (first, shared_settings(pd.DataFrame([row]))))


def _some(positions: list[int]) -> list[int]:
    """1, 3, 5, 7 where there are so many; else up to four, spread from first to last."""
    if set(positions) >= {1, 3, 5, 7}:
        return [1, 3, 5, 7]
    places = np.linspace(0, len(positions) - 1, min(_MOST_POSITIONS, len(positions)))
    return [positions[round(place)] for place in places]


def _score(scores: Any, stage: str, name: str, position: int) -> float:
    values = (scores.get(stage) or {}).get(name) or []
    value = values[position - 1] if position <= len(values) else None
    return float("nan") if value is None else float(value)


def wilson(
    hits: "pd.Series[float]", count: "pd.Series[float]", z: float = 1.96
) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    """95 % interval of a share (Wilson 1927)."""
    share = hits / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    inner = share * (1 - share) / count + z**2 / (4 * count**2)
    half: pd.Series[float] = z / (1 + z**2 / count) * np.sqrt(inner)
    return (middle - half).clip(lower=0), (middle + half).clip(upper=1)


def draw(plotted: Plotted, look: Look) -> Canvas:
    """Above, observed against predicted survival; below, how often each was predicted."""
    data = plotted.data
    positions = sorted(set(data["position"]))
    marks = {
        "before": Mark(look.colors[1], "s"),
        "after": Mark(look.colors[0], "o"),
    }
    perfect = Line2D([], [], color=look.muted, linestyle=":", label="perfect calibration")
    named = {f"{stage} calibration": mark for stage, mark in marks.items()}
    grid = Grid(2, len(positions), 3.5 if len(positions) > 2 else 4.4, 2.6, sharex=True)
    figure, axes = sheet(look, grid, [*curve_handles(named), perfect], plotted.caption)
    for column, position in zip(axes.T, positions, strict=True):
        part = data[data["position"] == position]
        _diagram(column[0], part, marks, look)
        _histogram(column[1], part, marks)
        column[0].set_title(_heading(part, position), fontsize=10)
        column[1].set_xlabel("predicted survival")
    axes[0, 0].set_ylabel("observed survival")
    axes[1, 0].set_ylabel("predictions (share)")
    return figure


def _heading(part: pd.DataFrame, position: int) -> str:
    lines = [f"position {position}"]
    for stage in _STAGES:
        own = part[part["stage"] == stage]
        if len(own):
            first = own.iloc[0]
            lines.append(
                f"{stage}: ECE {first['ece']:.1%}, AUC {first['auc']:.3f}, n {first['n']:.0f}"
            )
    return "\n".join(lines)


def _diagram(axes: Axes, part: pd.DataFrame, marks: dict[str, Mark], look: Look) -> None:
    axes.plot([0, 1], [0, 1], ":", color=look.muted, linewidth=1.4)
    for stage, mark in marks.items():
        own = part[part["stage"] == stage].set_index("bin").reindex(range(NUM_BINS))
        is_thick = own["count"] >= ENOUGH
        for chosen, opacity, line in ((is_thick, 1.0, "-"), (~is_thick, 0.4, "")):
            shown = own.where(chosen)  # a gap where a bin is left out
            bars = np.stack(
                [
                    shown["observed"] - shown["observed_ci_low"],
                    shown["observed_ci_high"] - shown["observed"],
                ]
            )
            axes.errorbar(
                shown["mean_predicted"], shown["observed"], yerr=bars.clip(min=0),
                color=mark.color, marker=mark.marker, markersize=4.5, linestyle=line,
                linewidth=1.5, elinewidth=0.9, capsize=2, alpha=opacity,
            )  # fmt: skip
    axes.set(
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        xticks=np.linspace(0, 1, 6),
        yticks=np.linspace(0, 1, 6),
    )


def _histogram(axes: Axes, part: pd.DataFrame, marks: dict[str, Mark]) -> None:
    for stage, mark in marks.items():
        own = part[part["stage"] == stage]
        shares = np.zeros(NUM_BINS)
        shares[own["bin"].to_numpy()] = own["count"] / max(1, own["count"].sum())
        edges = np.linspace(0, 1, NUM_BINS + 1)
        is_after = stage == "after"
        axes.stairs(
            shares, edges, color=mark.color, fill=is_after, alpha=0.45 if is_after else 1.0,
            linewidth=1.6,
        )  # fmt: skip
    axes.set_ylim(bottom=0)


KIND = Kind("reliability", "Reliability of survival estimates", 75, collect, draw)
