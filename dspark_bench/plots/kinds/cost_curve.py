"""Steps per second against the tokens of a step: SPS(B), what hardware-aware schedulers read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Canvas

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.curves import draw_curve, ticks_at
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import each_panel, in_order, left_out
from dspark_bench.plots.settings import drafter_columns, label, panel_columns, split, varying
from dspark_bench.plots.sheet import curve_handles, from_zero, panel_grid, sheet, switch_off, title
from dspark_bench.plots.style import Look
from dspark_bench.reading.surfaces import SURFACE, read_surface

MOST_SURFACES = 4


def collect(results: Results) -> Plotted:
    """The different surfaces that points used, each once."""
    surfaces: dict[str, CostSurface] = {}
    owners: dict[str, tuple[str, str]] = {}
    broken = []
    for key, folder in results.folders.items():
        if not (folder / SURFACE).is_file():
            continue
        try:
            surface = read_surface(folder / SURFACE)
        except ResultsError as error:
            broken.append(str(error))
            continue
        text = json.dumps(surface_values(surface))
        surfaces.setdefault(text, surface)
        owners.setdefault(text, key)
    if not surfaces:
        reason = "; ".join(broken) or "no point used measured step costs (cost=profiled)"
        raise NotSupportedError(reason)
    chosen = list(surfaces)[:MOST_SURFACES]
    names = _names(results, [owners[text] for text in chosen])
    tables = [
        surface_rows(surfaces[text]).assign(
            panel=name, sweep=owners[text][0], point_id=owners[text][1]
        )
        for text, name in zip(chosen, names, strict=True)
    ]
    notes = left_out(len(surfaces) - len(chosen), "further surface")
    return _plotted(in_order(pd.concat(tables, ignore_index=True), "requests", "tokens"), notes)


def collect_file(path: Path) -> Plotted:
    """The surface in a file of `dspark-bench profile`. Raises ResultsError."""
    return _plotted(surface_rows(read_surface(path)).assign(panel=path.stem), ())


def _plotted(data: pd.DataFrame, notes: tuple[str, ...]) -> Plotted:
    first = (
        "Medians over cycles of a measured step without drafting; no interval is kept. Tokens of a "
        "step: requests x (1 + drafts verified of each); a curve per number of requests. Large "
        "steps are measured at some lengths only; the others lie on straight lines between."
    )
    return Plotted(data, (first, *notes))


def _names(results: Results, owners: list[tuple[str, str]]) -> list[str]:
    keys = pd.MultiIndex.from_frame(results.rows[["sweep", "point_id"]])
    rows = results.rows.set_index(keys).loc[owners]
    columns = ["sweep", *drafter_columns(rows), "gamma", *panel_columns(rows)]
    wanted = varying(rows, columns)
    return [label(row, wanted) for _, row in rows.iterrows()]


def surface_values(surface: CostSurface) -> Mapping[str, Any]:
    """Its fields, for comparison."""
    return {name: getattr(surface, name) for name in CostSurface.__dataclass_fields__}


def surface_rows(surface: CostSurface) -> pd.DataFrame:
    """One row per measured cell: requests, verified, tokens, step_s and steps_per_s."""
    return pd.DataFrame(
        [
            {
                "series": f"{requests} requests" if requests > 1 else "1 request",
                "requests": requests,
                "verified": width,
                "tokens": requests * (1 + width),
                "step_s": seconds,
                "steps_per_s": 1 / seconds,
            }
            for requests, row in zip(surface.requests, surface.step_s, strict=True)
            for width, seconds in zip(surface.widths, row, strict=True)
        ]
    )


def draw(plotted: Plotted, look: Look) -> Canvas:
    """One panel per surface."""
    data = plotted.data
    order = data.drop_duplicates("series").sort_values("requests")["series"]
    places = {name: f"{place:02d}" for place, name in enumerate(order)}
    by_place = look.marks(places.values())
    marks = {name: by_place[place] for name, place in places.items()}
    panels = each_panel(data)
    grid = panel_grid(len(panels), 2, width_in=6.0, height_in=3.8, sharey=True)
    figure, axes = sheet(look, grid, curve_handles(marks), plotted.caption)
    for axis, (name, part) in zip(switch_off(axes, len(panels)), panels, strict=True):
        for curve in split(part, ["series"]):
            mark = marks[str(curve["series"].iloc[0])]
            draw_curve(axis, curve, "tokens", "steps_per_s", mark)
        ticks_at(axis, part["tokens"].tolist(), is_log=True)
        title(axis, name, grid.width_in)
        axis.set_xlabel("tokens of a step, B")
        axis.set_ylabel("steps per second, SPS(B)")
    from_zero(axes.flat)
    return figure


KIND = Kind("cost_curve", "Steps per second against tokens", 100, collect, draw)
