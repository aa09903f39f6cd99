"""S by the prompts' domain, below a sweep's table."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table

from dspark_bench.metrics.log_ratio import MIN_UNITS

MOST_ROWS: Final = 60
MOST_ROWS_WITHOUT_VERDICT: Final = 20


def domain_table(points: Sequence[tuple[str, Mapping[str, Any]]]) -> Table | str | None:
    """One row per domain and point; None where no point has several domains.

    points: label and `domains` of metrics.json. A line instead of a table that fills screens, or
    that fills half of one without a verdict in it: the answer stands above.
    """
    rows = [
        (str(name), label, figures)
        for label, domains in points
        for name, figures in domains.items()
        if isinstance(figures, dict)
    ]
    if not rows:
        return None
    names = list(dict.fromkeys(name for name, _, _ in rows))
    has_enough = [bool(figures.get("has_enough_units")) for _, _, figures in rows]
    if len(rows) > (MOST_ROWS if any(has_enough) else MOST_ROWS_WITHOUT_VERDICT):
        few = "" if any(has_enough) else f", no verdict in any, n < {MIN_UNITS}"
        return (
            f"S by domain ({len(names)} domains{few}): in the report, and in each point's "
            "metrics.json"
        )
    has_few = not all(has_enough)
    table = Table(
        title="S by domain" + (f" (*: no verdict, n < {MIN_UNITS})" if has_few else ""),
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold underline",
    )
    for head in ("domain", "point"):
        table.add_column(head, overflow="fold")
    for head in ("n", "S", "95 %", "tau"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, label, figures in sorted(rows, key=lambda row: names.index(row[0])):
        speedup, tau = figures["speedup"], figures["accepted_length"]
        low, high = speedup["low"], speedup["high"]
        star = "" if figures.get("has_enough_units") else "*"
        table.add_row(
            name,
            label,
            f"{speedup['n']}{star}",
            _number(speedup["value"]),
            "-" if low is None or high is None else f"{low:.2f}-{high:.2f}",
            _number(tau["value"]),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
