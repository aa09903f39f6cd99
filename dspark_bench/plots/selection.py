"""Choosing rows: numbers made numeric, panels and curves named, and what the caption says of n."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dspark_bench.plots.kind import NotSupportedError
from dspark_bench.plots.results import Results
from dspark_bench.plots.settings import (
    drafter_columns,
    is_lossy,
    is_simulated,
    label,
    panel_columns,
    shared_settings,
    split,
    varying,
)

MOST_PANELS = 6
BARE = (
    "drafter",
    "drafter_name",
    "drafter_class",
    "drafter_head",
    "scheduler",
    "workload",
    "target",
)
_SIMULATED = "(simulated acceptance)"
_LOSSY = "(lossy acceptance)"
_MARK = " acceptance)"
_PLACE = ("panel", "series", "sweep", "point_id")


def speculative_rows(results: Results) -> pd.DataFrame:
    """Rows of points that draft, copies of one measurement in several sweeps once.

    Raises NotSupportedError.
    """
    rows = results.rows.drop_duplicates(["point_id", "speedup"])
    gamma = pd.to_numeric(rows["gamma"], errors="coerce")
    rows = rows.assign(gamma=gamma)
    rows = rows[(gamma >= 1) & (rows["drafter"] != "none")]
    if rows.empty:
        raise NotSupportedError("no point has a drafter")
    return rows


def require(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Rows in which every one of these columns is a number. Raises NotSupportedError."""
    for name in columns:
        values = (
            pd.to_numeric(rows[name], errors="coerce")
            if name in rows.columns
            else pd.Series(np.nan, index=rows.index)
        )
        rows = rows.assign(**{name: values})[values.notna()]
        if rows.empty:
            raise NotSupportedError(f"no point has {name}")
    return rows


def numbers(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The rows with these columns numeric, NaN where a point has none."""
    found = {
        name: pd.to_numeric(rows[name], errors="coerce") if name in rows.columns else np.nan
        for name in columns
    }
    return rows.assign(**found)


def with_interval(*names: str) -> tuple[str, ...]:
    """The columns of figures with their intervals."""
    return tuple(column for name in names for column in (name, f"{name}_ci_low", f"{name}_ci_high"))


def name_places(
    rows: pd.DataFrame, axis: Sequence[str], curves: Sequence[str], free: Sequence[str] = ()
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows with `panel` and `series`, and notes on rows left out.

    axis: columns that move along the x axis; curves: columns that tell curves apart; free: settings
    that may differ within a curve. Any other setting that varies opens a panel of its own.
    """
    series_keys = varying(rows, curves)
    panel_keys = varying(rows, panel_columns(rows, without=(*axis, *curves, *free)))
    places = [*panel_keys, *series_keys, *axis]
    for finer in ("code_hash", "sweep"):
        if rows.duplicated(places).any():
            panel_keys = varying(rows, [finer, *panel_keys])
            places = [*panel_keys, *series_keys, *axis]
    twins = rows.duplicated(places)
    notes = left_out(int(twins.sum()), "point", "that no known setting tells apart ")
    rows = rows[~twins]
    panels = rows.apply(lambda row: label(row, panel_keys), axis=1)
    for is_marked, mark in ((is_simulated(rows), _SIMULATED), (is_lossy(rows), _LOSSY)):
        panels = panels.where(~is_marked, _with_mark(panels, mark))
    named = rows.assign(panel=panels, series=_series(rows, series_keys, curves[0]))
    return named, notes


def left_out(count: int, noun: str, which: str = "") -> tuple[str, ...]:
    """A caption's line on what is not shown; none for nothing."""
    if count <= 0:
        return ()
    verb = "is" if count == 1 else "are"
    return (f"{count} {noun}{'' if count == 1 else 's'} {which}{verb} not shown",)


def _with_mark(panels: "pd.Series[str]", mark: str) -> "pd.Series[str]":
    return panels.map(lambda text: f"{text}, {mark}" if text else mark)


def drafter_curves(rows: pd.DataFrame) -> list[str]:
    """Columns for one curve per drafter."""
    return drafter_columns(rows)


def _series(rows: pd.DataFrame, keys: Sequence[str], main: str) -> "pd.Series[str]":
    """The main key's value, and the other keys that vary among the rows that share it."""

    def text(row: "pd.Series[Any]") -> str:
        own = rows[rows[main] == row[main]]
        others = [key for key in keys if key != main and own[key].nunique(dropna=False) > 1]
        named = [key for key in others if key not in BARE or row[key] != row[main]]
        return label(row, [main, *named], BARE).replace(", ", " ") or "-"

    return rows.apply(text, axis=1)


def limit_panels(
    rows: pd.DataFrame, most: int = MOST_PANELS, by: str = "panel"
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The panels with the most rows that know `by`, with short titles, and a note on the others."""
    sizes = rows.groupby("panel", sort=False)[by].count()
    sizes = sizes.sort_values(ascending=False, kind="stable")
    if len(sizes) <= most:
        return tidy_names(rows), ()
    kept = rows[rows["panel"].isin(sizes.index[:most])]
    return tidy_names(kept), left_out(len(sizes) - most, "further group", "of points ")


def in_order(rows: pd.DataFrame, *axis: str) -> pd.DataFrame:
    """Rows by panel, curve and axis; numbers within names by value, so that 4 stands before 16."""
    places = [name for name in ("panel", "series") if name in rows.columns]
    return rows.sort_values([*places, *axis], kind="stable", key=_natural)


def _natural(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Sort keys: numbers as they are, texts with their numbers padded."""
    if pd.api.types.is_numeric_dtype(values):
        return values
    return values.map(lambda text: re.sub(r"\d+", lambda found: found[0].zfill(12), str(text)))


def tidy_names(rows: pd.DataFrame) -> pd.DataFrame:
    """Titles of panels and names of curves without what those left have in common."""
    panels = _without_shared(rows["panel"], ", ", _MARK)
    names = _without_shared(rows["series"], " ", "")
    return rows.assign(panel=panels, series=rows["series"] if "" in names else names)


def _without_shared(texts: "pd.Series[str]", glue: str, kept: str) -> list[str]:
    """Texts without the parts that all of them have; a part that holds `kept` always stays."""
    parts = [text.split(glue) for text in texts]
    shared = set.intersection(*map(set, parts))
    if kept:
        shared = {part for part in shared if kept not in part}
    return [glue.join(part for part in own if part not in shared) for own in parts]


def unselected(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `scheduler=fixed` if there are any: no confidence chose what they verified."""
    fixed = rows[rows["scheduler"] == "fixed"] if "scheduler" in rows.columns else rows
    return fixed if len(fixed) else rows


def best_of(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Of every curve in every panel the row with the largest value."""
    places = rows.groupby(["panel", "series"], sort=False)[column].idxmax()
    return rows.loc[places]


def best_supported(rows: pd.DataFrame, *places: str) -> pd.DataFrame:
    """One row per place: one with an interval of the accepted length if there is any, of these the
    one with the most cycles.
    """
    low = numbers(rows, "accepted_length_ci_low")["accepted_length_ci_low"]
    ranked = rows.assign(has_interval=low.notna())
    ranked = ranked.sort_values(["has_interval", "n_cycles"], ascending=False, kind="stable")
    return ranked.drop_duplicates(list(places)).drop(columns="has_interval")


def columns(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The data of a figure: place, then these columns, absent ones left out."""
    wanted = [name for name in (*_PLACE, *names) if name in rows.columns]
    return rows[list(dict.fromkeys(wanted))].reset_index(drop=True)


def caption(rows: pd.DataFrame, *figures: str, what: str = "Bars") -> tuple[str, ...]:
    """What the intervals of these figures rest on, those that no point stores, and the settings
    that all rows share.
    """
    known = numbers(rows, *(f"{name}_ci_low" for name in figures))
    missing = [name for name in figures if known[f"{name}_ci_low"].isna().all()]
    absent = f" No point stores an interval of {' or '.join(missing)}." if missing else ""
    units = {"prompts" if one else "rounds" for one in _is_by_prompt(rows)}
    n = f"n = {spread(rows, 'n_units')} {' or '.join(sorted(units))} per point"
    requests = f"{spread(rows, 'n_requests')} requests"
    has_any = len(missing) < len(figures)
    interval = f"{what}: 95 % interval" if has_any else "Means"
    return (f"{interval}, {n} ({requests}).{absent}", shared_settings(rows))


def _is_by_prompt(rows: pd.DataFrame) -> "pd.Series[bool]":
    is_closed = rows["load"] == "closed" if "load" in rows.columns else True
    alone = numbers(rows, "concurrency")["concurrency"].fillna(1) == 1
    return alone & is_closed


def spread(rows: pd.DataFrame, column: str) -> str:
    """`a` or `a to b` of a column's whole numbers."""
    known = numbers(rows, column)[column].dropna()
    if known.empty:
        return "unknown"
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low} to {high}"


def each_panel(data: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Panels in order of appearance."""
    return [(str(part["panel"].iloc[0]), part) for part in split(data, ["panel"])]


def each_series(data: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Curves in order of appearance."""
    return [(str(part["series"].iloc[0]), part) for part in split(data, ["series"])]
