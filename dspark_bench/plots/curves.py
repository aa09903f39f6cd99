"""Curves with 95 % intervals, and axes for draft lengths and loads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from dspark_bench.plots.style import Mark


def draw_curve(
    axes: Axes, data: pd.DataFrame, x: str, y: str, mark: Mark, shift: float = 0.0, **look: Any
) -> None:
    """`y` against `x` with error bars from `y`_ci_low and `y`_ci_high where they are known.

    shift: of x, so that the bars of several curves stand side by side.
    """
    rows = data.sort_values(x)
    values = rows[y].to_numpy(dtype=np.float64)
    below, above = (
        np.nan_to_num(np.abs(_column(rows, f"{y}_ci_{end}") - values)) for end in ("low", "high")
    )
    style: dict[str, Any] = {"linewidth": 1.9, "markersize": 5.5, "zorder": 3} | look
    axes.errorbar(
        rows[x].to_numpy(dtype=np.float64) + shift,
        values,
        yerr=np.stack([below, above]),
        color=mark.color,
        marker=mark.marker,
        capsize=3,
        elinewidth=1.2,
        **style,
    )


def shift_step(xs: "pd.Series[float]") -> float:
    """A hundredth of an axis over these values."""
    return 0.012 * max(0.3, float(xs.max() - xs.min()))


def shifts(xs: "pd.Series[float]", labels: Sequence[str]) -> dict[str, float]:
    """Small shifts of x by label, a hundredth of the axis apart and centred."""
    step = shift_step(xs)
    middle = (len(labels) - 1) / 2
    return {label: step * (place - middle) for place, label in enumerate(labels)}


def _column(rows: pd.DataFrame, name: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    if name not in rows.columns:
        return np.full(len(rows), np.nan)
    return rows[name].to_numpy(dtype=np.float64)


def ticks_at(axes: Axes, values: Sequence[float], is_log: bool = False) -> None:
    """Ticks at the measured values only; on a log axis each doubling takes the same room.

    Of values that lie too close to be read, only some are labelled.
    """
    if is_log:
        axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    places = sorted(set(values))
    if len(places) == 1:  # a lone value in the middle, not at the scale of its curves' shifts
        axes.set_xlim(
            *((places[0] / 2, places[0] * 2) if is_log else (places[0] - 1, places[0] + 1))
        )
    kept = _readable(places, is_log)
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if value in kept else "")
    )


def _readable(places: Sequence[float], is_log: bool) -> set[float]:
    """Values at least a twentieth of the axis apart."""
    where = np.log2(places) if is_log else np.asarray(places, dtype=np.float64)
    gap = (where[-1] - where[0]) / 20
    kept: list[int] = []
    for place in range(len(places)):
        if not kept or where[place] - where[kept[-1]] >= gap:
            kept.append(place)
    return {places[place] for place in kept}


def plain_curve(axes: Axes, data: pd.DataFrame, x: str, y: str, mark: Mark, **look: Any) -> None:
    """`y` against `x` in the order of the rows, with the intervals of both."""
    known = data[data[x].notna() & data[y].notna()]
    if known.empty:
        return
    bars = []
    for name in (x, y):
        values = known[name].to_numpy(dtype=np.float64)
        ends = (_column(known, f"{name}_ci_{end}") for end in ("low", "high"))
        bars.append(np.stack([np.nan_to_num(np.abs(end - values)) for end in ends]))
    style: dict[str, Any] = {"linewidth": 1.9, "markersize": 5.5, "zorder": 3} | look
    axes.errorbar(
        known[x], known[y], xerr=bars[0], yerr=bars[1], color=mark.color, marker=mark.marker,
        capsize=2, elinewidth=0.9, **style,
    )  # fmt: skip
