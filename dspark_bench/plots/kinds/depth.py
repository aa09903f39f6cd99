"""Accepted length and speedup against the drafter's depth (the paper's Figure 3)."""

import pandas as pd
from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    caption,
    columns,
    in_order,
    limit_panels,
    name_places,
    numbers,
    require,
    speculative_rows,
    with_interval,
)
from dspark_bench.plots.settings import split
from dspark_bench.plots.stacked import Stack, draw_stack
from dspark_bench.plots.style import Look

_CURVES = ("drafter_class", "drafter_head")
_ROWS = (("accepted_length", "accepted length\n(tokens/cycle)"), ("speedup", "speedup S (ratio)"))


def collect(results: Results) -> Plotted:
    """Groups in which one class of drafters ran at several depths."""
    rows = require(speculative_rows(results), "drafter_layers", "accepted_length")
    rows = numbers(rows, *with_interval("accepted_length", "speedup"))
    rows, notes = name_places(
        rows, ["drafter_layers", "gamma"], _CURVES, ("drafter", "drafter_hash", "train_seed")
    )
    groups = [_one_length(part) for part in split(rows, ["panel"])]
    rows = pd.concat(groups)
    if rows.empty:
        raise NotSupportedError("no class of drafters ran at several depths")
    rows, further = limit_panels(rows, most=4)
    data = columns(
        in_order(rows, "drafter_layers"), "drafter", "gamma", "drafter_layers", *_CURVES,
        *with_interval("accepted_length", "speedup"), "n_units", "n_requests",
    )  # fmt: skip
    return Plotted(data, (*caption(rows, "accepted_length", "speedup"), *notes, *further))


def _one_length(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows at the draft length at which a class has most depths; none if it has one only."""
    depths = rows.groupby(["gamma", "series"])["drafter_layers"].nunique().groupby("gamma").max()
    chosen = depths.index[depths == depths.max()].max()
    kept: pd.DataFrame = rows[rows["gamma"] == chosen]
    return kept if depths.max() > 1 else kept[:0]


def draw(plotted: Plotted, look: Look) -> Canvas:
    """Accepted length above, speedup below; one column per group."""
    figure, axes = draw_stack(
        plotted, look, Stack("drafter_layers", "drafter layers", _ROWS, 3.9, 2.7)
    )
    for axis in axes.flat:
        axis.margins(x=0.1, y=0.15)
    return figure


KIND = Kind("depth", "Accepted length against drafter depth", 50, collect, draw)
