"""S of every arm of a block beside each other, with the winner's lead over each.

Arms of one block met the same minutes of the machine and the same prompts, so this is the figure
that may rank them.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.leads import Leads
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    caption,
    columns,
    left_out,
    name_places,
    numbers,
    require,
    speculative_rows,
    tidy_names,
    with_interval,
)
from dspark_bench.plots.settings import split
from dspark_bench.plots.sheet import panel_grid, sheet, switch_off, title
from dspark_bench.plots.style import HATCHES, Look
from dspark_bench.reading.speeds import leads_among, read_speeds

MOST = 6
_CURVES = ("drafter", "gamma", "scheduler", "cost", "calibrator")
_TREES = ("tree", "tree_nodes")
_OWN_KEYS = ("scheduler.", "cost.", "calibrator.")
_CHAIN = "none"
_WINNER, _TIED, _BEATEN = "fastest", "not clearly slower", "clearly slower"
_UNRANKED = "not compared: the records are not there"
_VERDICTS = (_WINNER, _TIED, _BEATEN, _UNRANKED)
_HOW = (
    "Numbers: S, and the winner's lead with its interval, which holds for all pairs of arms "
    "together. An arm is clearly slower if that interval lies above 1 and a randomisation test "
    "agrees."
)


def collect(results: Results) -> Plotted:
    """Blocks of two arms or more, the largest first, each with its arms by falling S."""
    rows = require(speculative_rows(results), "speedup")
    if "block_id" not in rows:
        raise NotSupportedError("no point knows its block: measured by an earlier version")
    rows = rows[rows["block_id"].notna()]
    sizes = rows.groupby("block_id")["block_id"].transform("size")
    rows = rows[sizes > 1]
    if rows.empty:
        raise NotSupportedError("no block has two arms")
    has_trees = "tree" in rows and bool((rows["tree"] != _CHAIN).any())
    own = [name for name in map(str, rows.columns) if name.startswith(_OWN_KEYS)]
    curves = (*_CURVES, *(_TREES if has_trees else ()), *own)
    rows, notes = name_places(rows, (), curves)
    blocks = [part for _, part in rows.groupby("block_id", sort=False)]
    blocks = sorted(blocks, key=len, reverse=True)
    ranked = pd.concat([_ranked(part, results) for part in blocks[:MOST]])
    ranked = tidy_names(numbers(ranked, *with_interval("speedup", "lead")))
    data = columns(
        ranked, "block_id", *curves, *with_interval("speedup"), *with_interval("lead"), "verdict",
        "n_units", "n_requests",
    )  # fmt: skip
    first, *settings = caption(ranked, "speedup")
    further = left_out(len(blocks) - MOST, "further block")
    return Plotted(data, (f"{first} {_HOW}", *settings, *notes, *further))


def _ranked(rows: pd.DataFrame, results: Results) -> pd.DataFrame:
    """The arms of one block by falling S, with `lead` of the first over each and `verdict`."""
    rows = rows.sort_values("speedup", ascending=False, kind="stable").reset_index(drop=True)
    found = _leads(rows, results)
    lead = {item.challenger: item for item in (() if found is None else found.leads)}
    ratios = [lead[str(place)].ratio if str(place) in lead else None for place in rows.index]
    clear = [str(place) in lead and lead[str(place)].is_clear for place in rows.index]
    verdicts = [_UNRANKED] * len(rows)
    if found is not None:
        verdicts = [_BEATEN if is_clear else _TIED for is_clear in clear]
        verdicts[int(found.winner)] = _WINNER
    nan = float("nan")
    known = pd.DataFrame(
        [(nan,) * 3 if r is None else (r.value, r.low, r.high) for r in ratios],
        columns=["lead", "lead_ci_low", "lead_ci_high"],
    )
    return pd.concat([rows, known], axis=1).assign(verdict=verdicts)


def _leads(rows: pd.DataFrame, results: Results) -> Leads | None:
    """None where the records do not allow them."""
    try:
        arms = {
            str(place): read_speeds(
                results.folders[(row["sweep"], row["point_id"])],
                results.metrics[(row["sweep"], row["point_id"])],
                str(row["load"]),
                int(row["concurrency"]),
            )
            for place, row in rows.iterrows()
        }
        return leads_among(arms)
    except (ResultsError, KeyError, ValueError):
        return None


def draw(plotted: Plotted, look: Look) -> Canvas:
    """One panel per block, its arms from top to bottom."""
    blocks = list(split(plotted.data, ["block_id"]))
    most = max(len(block) for block in blocks)
    grid = panel_grid(len(blocks), 2, width_in=5.6, height_in=1.6 + 0.5 * most)
    present = set(plotted.data["verdict"])
    keys = [
        Patch(facecolor=look.colors[place], hatch=HATCHES[place], edgecolor=look.paper, label=name)
        for place, name in enumerate(_VERDICTS)
        if name in present
    ]
    figure, axes = sheet(look, grid, keys, plotted.caption)
    for axis, block in zip(switch_off(axes, len(blocks)), blocks, strict=True):
        _draw_block(axis, block, look)
        title(axis, str(block["panel"].iloc[0]), grid.width_in)
        axis.set_xlabel("speedup S (ratio)")
    return figure


def _draw_block(axes: Axes, block: pd.DataFrame, look: Look) -> None:
    """Each arm's name stands above its bar: names are longer than any margin."""
    places = {name: place for place, name in enumerate(_VERDICTS)}
    for height, (_, row) in enumerate(block.iterrows()):
        style = places[str(row["verdict"])]
        axes.barh(
            height, row["speedup"], 0.4, color=look.colors[style], hatch=HATCHES[style],
            edgecolor=look.paper,
        )  # fmt: skip
        end = row["speedup"]
        if pd.notna(row["speedup_ci_low"]) and pd.notna(row["speedup_ci_high"]):
            ends = [row["speedup_ci_low"], row["speedup_ci_high"]]
            axes.plot(ends, [height, height], color=look.ink, linewidth=1.8)
            end = max(end, row["speedup_ci_high"])
        text = f"{row['speedup']:.2f}"
        if pd.notna(row["lead"]):
            text += f"  ({100 * (row['lead'] - 1):.0f} % behind)"
        axes.annotate(
            text, (end, height), (4, 0), textcoords="offset points", va="center", fontsize=10
        )
        axes.text(0.0, height - 0.24, str(row["series"]), va="bottom", fontsize=10)
    axes.axvline(1.0, color=look.muted, linewidth=0.8)
    axes.set_yticks([])
    axes.set_ylim(len(block) - 0.6, -0.75)
    axes.set_xlim(0.0, axes.get_xlim()[1] * 1.35)
    axes.grid(False, axis="y")


KIND = Kind("arms", "Arms of a block, fastest first", 15, collect, draw)
