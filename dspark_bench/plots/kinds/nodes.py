"""Accepted length and speedup against the tokens that are verified: chains and trees of a drafter.

At equal numbers of nodes a tree has the same cost of verifying as a chain; what differs is how many
of them stand, and what drafting them takes.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.curves import ticks_at
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
from dspark_bench.plots.settings import drafter_columns
from dspark_bench.plots.stacked import Stack, draw_stack
from dspark_bench.plots.style import Look

NODES = "verified_nodes"
_ROWS = (("accepted_length", "accepted length\n(tokens/cycle)"), ("speedup", "speedup S (ratio)"))
_CHAIN = "none"
_SIZES = ("tree_nodes", "tree.nodes")
_MOST_COLUMNS = 6
_WHAT = "Verified nodes: verify_budget - 1, the mean over cycles."


def collect(results: Results) -> Plotted:
    """Chains and trees of the drafters that grew trees. A curve is a drafter's chains, or its trees
    of one kind and depth.
    """
    rows = require(speculative_rows(results), "accepted_length", "verify_budget")
    rows = _with_trees(numbers(rows, *with_interval("accepted_length", "speedup")))
    rows = rows.assign(**{NODES: rows["verify_budget"] - 1}, shape=rows.apply(_shape, axis=1))
    own = [name for name in drafter_columns(rows) if name not in ("tree", *_SIZES)]
    curves = ("drafter", "shape", *(name for name in own if name != "drafter"))
    axis = ["gamma", *(name for name in _SIZES if name in rows)]
    rows, notes = name_places(rows, axis, curves)
    rows = rows.assign(series=rows["series"].str.replace("shape=", ""))
    rows, further = limit_panels(rows, most=_MOST_COLUMNS)
    data = columns(
        in_order(rows, NODES), "drafter", "tree", "tree_nodes", "gamma", "verify_budget", NODES,
        *with_interval("accepted_length", "speedup"), "n_units", "n_requests",
    )  # fmt: skip
    first, *settings = caption(rows, "accepted_length", "speedup")
    return Plotted(data, (f"{first} {_WHAT}", *settings, *notes, *further))


def _with_trees(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of drafters that have a tree somewhere."""
    trees = rows["tree"] if "tree" in rows else pd.Series(_CHAIN, rows.index)
    rows = rows.assign(tree=trees.fillna(_CHAIN))
    grown = set(rows.loc[rows["tree"] != _CHAIN, "drafter"])
    if not grown:
        raise NotSupportedError("no point has a tree")
    return rows[rows["drafter"].isin(grown)]


def _shape(row: "pd.Series[Any]") -> str:
    """A chain's depth is its number of nodes; a tree's is not."""
    is_chain = row["tree"] == _CHAIN
    return "chain" if is_chain else f"{row['tree']}(depth={int(row['gamma'])})"


def draw(plotted: Plotted, look: Look) -> Canvas:
    """Accepted length above, speedup below; one column per group, such as a load."""
    stack = Stack(NODES, "verified nodes (per request and cycle)", _ROWS, 4.2, 2.8)
    figure, axes = draw_stack(plotted, look, stack)
    for axis in axes.flat:
        axis.margins(x=0.1, y=0.15)
        ticks_at(axis, sorted({float(round(value)) for value in plotted.data[NODES]}))
    for axis in axes[1]:
        axis.axhline(1.0, color=look.muted, linewidth=0.8)
    return figure


KIND = Kind("nodes", "Accepted length and speedup by verified nodes", 65, collect, draw)
