"""The tables that a sweep ends with: what each point measured, and from theory to measurement."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import RenderableType

from dspark_bench.commands.fitted_table import Column, fitted_table, key_column
from dspark_bench.config.point_config import NO_DRAFTER
from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.reading.rows import FINISHED, Row

_NAMES = ("drafter", "gamma", "workload")
_GAP_HEADS = (
    "trunca-\ntion",
    "non-\niid",
    "draft\ncost",
    "verify\ncost",
    "over-\nhead",
    "prefill,\nbatches",
)

_FIGURES = (
    *(("S", "S", 0), ("95 %", "95 %", 0), ("tau", "tau", 2), ("alpha", "alpha", 3), ("c", "c", 4)),
    *(("S theory", "S\ntheory", 5), ("S model", "S\nmodel", 6), ("its error", "its\nerror", 7)),
    *(("lossless", "lossless", 1), ("status", "status", 1)),
)
"""Name, head, and how soon each goes when the terminal is narrow (0: never)."""


def result_table(
    rows: Sequence[Row], swept_keys: Sequence[str] = (), width: int = 80
) -> RenderableType:
    """Drafter, gamma, workload, S and what explains it; one line per point.

    width: of the terminal, characters. S and its interval are there at any width from 40.
    """
    has_status = any(row["status"] != FINISHED for row in rows)
    heads = _FIGURES if has_status else _FIGURES[:-1]
    cells = [result_cells(row) for row in rows]
    figures = [
        Column(name, head, tuple(row[place] for row in cells), rank)
        for place, (name, head, rank) in enumerate(heads)
    ]
    columns = [*_key_columns(rows, swept_keys), *figures]
    return fitted_table("speedup S over the paired baseline", columns, width)


def gap_table(
    rows: Sequence[Row], swept_keys: Sequence[str] = (), width: int = 80
) -> RenderableType | None:
    """From theory to measurement, term by term; each line adds up. None without a drafter."""
    known = [row for row in rows if row.get("speedup") is not None and None not in _terms(row)]
    if not known:
        return None
    signed = [
        Column(name, head, tuple(f"{row[f'gap_{name}']:+.2f}" for row in known))
        for name, head in zip(GAP_TERMS, _GAP_HEADS, strict=True)
    ]
    theory = Column(
        "S theory", "S\ntheory", tuple(_number(row.get("speedup_theory")) for row in known)
    )
    measured = Column("S", "S", tuple(_number(row["speedup"]) for row in known))
    columns = [*_key_columns(known, swept_keys), theory, *signed, measured]
    title = "from S theory to S measured: what each difference adds"
    return fitted_table(title, columns, width)


def _terms(row: Row) -> list[Any]:
    return [row.get(f"gap_{term}") for term in GAP_TERMS]


def _key_columns(rows: Sequence[Row], swept_keys: Sequence[str]) -> list[Column]:
    """What tells the rows apart."""
    names = [*_NAMES, *(key for key in swept_keys if key not in _NAMES)]
    columns = []
    for name in names:
        is_drafted = [name != "gamma" or row["drafter"] != NO_DRAFTER for row in rows]
        cells = [
            _key_text(row.get(name, "")) if shown else "-"
            for row, shown in zip(rows, is_drafted, strict=True)
        ]
        columns.append(key_column(name, cells))
    return [replace(c, head="work-\nload") if c.name == "workload" else c for c in columns]


def _key_text(value: object) -> str:
    """A setting; a dash where it has no meaning for the point."""
    return "-" if value is None else str(value)


def result_cells(row: Row) -> list[str]:
    """The figures of one row, as text, in the order of `_FIGURES`."""
    low, high = row.get("speedup_ci_low"), row.get("speedup_ci_high")
    return [
        _number(row.get("speedup")),
        "-" if low is None or high is None else f"{low:.2f}-{high:.2f}",
        _number(row.get("accepted_length")),
        _number(row.get("alpha")),
        _number(row.get("draft_cost_ratio")),
        _number(row.get("speedup_theory")),
        _number(row.get("speedup_model")),
        _model_error(row),
        _lossless(row),
        str(row["status"]),
    ]


def _model_error(row: Row) -> str:
    predicted, measured = row.get("speedup_model"), row.get("speedup")
    return f"{predicted / measured - 1:+.0%}" if predicted and measured else "-"


def _lossless(row: Row) -> str:
    """The evidence; for sampled output, the verdict of the distribution checks."""
    evidence = row.get("lossless_evidence") or "-"
    is_lossless = row.get("lossless")
    if evidence == "untested" and is_lossless is not None:
        return "verified" if is_lossless else "violated"
    return str(evidence)


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float | int) else "-"
