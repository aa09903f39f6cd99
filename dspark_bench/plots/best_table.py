"""For figures that show one point: the point whose table says most."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.kind import NotSupportedError
from dspark_bench.plots.results import Results
from dspark_bench.reading.files import read_table

Rank = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BestTable:
    """row: of summary.csv; table: the point's CSV file; num_points: those that have one."""

    row: "pd.Series[Any]"
    table: pd.DataFrame
    num_points: int


def best_table(
    results: Results,
    rows: pd.DataFrame,
    file: tuple[str, set[str]],
    rank: Callable[["pd.Series[Any]", pd.DataFrame], Rank],
    none_found: str,
) -> BestTable:
    """The highest-ranked point among `rows` that have a file of this name with these columns.

    Empty tables do not count. Raises NotSupportedError with what is wrong with the files there are,
    or with `none_found`.
    """
    found: list[tuple[Rank, pd.Series[Any], pd.DataFrame]] = []
    broken = []
    name, columns = file
    for _, row in rows.iterrows():
        try:
            table = read_table(results.folders[row["sweep"], row["point_id"]] / name, columns)
        except ResultsError as error:
            broken.append(str(error))
            continue
        if table is not None and len(table):
            found.append((rank(row, table), row, table))
    if not found:
        raise NotSupportedError(_few(broken) or none_found)
    _, row, table = max(found, key=lambda item: item[0])
    return BestTable(row, table, len(found))


def _few(reasons: list[str]) -> str:
    """The first reason, and how many more there are: a line that can be read."""
    return f"{reasons[0]}; and {len(reasons) - 1} more" if len(reasons) > 1 else "".join(reasons)
