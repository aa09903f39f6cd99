"""Drafters that foresee next to nothing, below the table of a sweep."""

from collections.abc import Callable, Sequence

from dspark_bench.metrics.acceptance import FOREIGN, is_foreign
from dspark_bench.reading.rows import Row


def foreign_lines(rows: Sequence[Row], label: Callable[[Row], str]) -> list[str]:
    """A question for every such row. label: what a row is called."""
    return [
        f"{label(row)}: {FOREIGN}"
        for row in rows
        if is_foreign(row.get("accepted_length"), row.get("acceptance_rate"))
    ]
