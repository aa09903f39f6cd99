"""The tables of a report; every number is a cell of summary.csv or of the point's metrics.json."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.reading.points import Gathered, Point, Sweep
from dspark_bench.reading.rows import FAILED, FINISHED
from dspark_bench.report.content import Cell, Table

_TREE = ("tree", "tree_nodes")
_NAMES = (
    *("drafter", "drafter_name", "gamma", *_TREE),
    *("scheduler", "workload", "concurrency", "rate"),
)
_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("S", "speedup", ".2f"),
    ("low", "speedup_ci_low", ".2f"),
    ("high", "speedup_ci_high", ".2f"),
    ("n", "intervals.speedup.n", ".0f"),
    ("noise floor", "noise_floor", ".3f"),
    ("S theory", "speedup_theory", ".2f"),
    ("S model", "speedup_model", ".2f"),
    ("tau", "accepted_length", ".2f"),
    ("alpha", "alpha", ".3f"),
    ("c", "draft_cost_ratio", ".3f"),
    ("tok/s", "throughput_tok_s", ".1f"),
    ("tok/s per user", "tok_s_per_user", ".1f"),
    ("TTFT p50, s", "ttft_p50_s", ".4f"),
    ("TPOT p50, s", "tpot_p50_s", ".5f"),
    ("TPOT p99, s", "tpot_p99_s", ".5f"),
    ("verify budget", "verify_budget", ".2f"),
    ("baseline over floor", "baseline_floor_ratio", ".2f"),
    ("requests", "n_requests", ".0f"),
)
_DOMAIN_NAMES = ("drafter", "gamma", "scheduler")
_DOMAIN_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("prompts", "num_prompts", ".0f"),
    ("S", "speedup.value", ".2f"),
    ("low", "speedup.low", ".2f"),
    ("high", "speedup.high", ".2f"),
    ("n", "speedup.n", ".0f"),
    ("tau", "accepted_length.value", ".2f"),
)
_GAP_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("S theory", "speedup_theory", ".2f"),
    *((name.replace("_", " "), f"gap_{name}", "+.2f") for name in GAP_TERMS),
    ("S", "speedup", ".2f"),
)


def result_tables(gathered: Gathered) -> tuple[Table, ...]:
    """One table of measured points per sweep."""
    return tuple(
        point_table(sweep, f"{sweep.name}: what each point measured", _FIGURES, has_status=True)
        for sweep in gathered.sweeps
        if any(point.is_measured for point in sweep.points)
    )


def gap_tables(gathered: Gathered) -> tuple[Table, ...]:
    """From S theory to S measured; each row adds up. Points without the terms are left out."""
    tables = []
    for sweep in gathered.sweeps:
        known = [p for p in sweep.points if p.is_measured and p.number("gap_overhead") is not None]
        if known:
            part = Sweep(sweep.name, sweep.folder, sweep.description, tuple(known))
            caption = f"{sweep.name}: what each difference adds to the theoretical S"
            tables.append(point_table(part, caption, _GAP_FIGURES, has_status=False))
    return tuple(tables)


def domain_tables(gathered: Gathered) -> tuple[Table, ...]:
    """S and tau by domain, one row per domain and point, of sweeps whose prompts have several."""
    tables = []
    for sweep in gathered.sweeps:
        points = sorted((p for p in sweep.points if p.block("domains")), key=_order)
        names = dict.fromkeys(name for point in points for name in point.block("domains"))
        keys = (*_DOMAIN_NAMES, *(_TREE if _has_trees(points) else ()))
        rows = [
            _domain_row(point, name, keys)
            for name in names
            for point in points
            if isinstance(point.block("domains").get(name), dict)
        ]
        if rows:
            heads = (
                "domain",
                *keys,
                *(head for head, _, _ in _DOMAIN_FIGURES),
                "rests on",
            )
            caption = f"{sweep.name}: each domain's prompts alone"
            tables.append(Table(caption, (*heads, "point"), tuple(rows), num_heads=1))
    return tuple(tables)


def _has_trees(points: Sequence[Point]) -> bool:
    return any(point.text("tree") not in ("", "none") for point in points)


def _domain_row(point: Point, name: str, keys: Sequence[str]) -> tuple[Cell, ...]:
    """Domains may have dots in their names, so values are found part by part."""
    figures = point.block("domains")[name]
    cells = [Cell(name), *(Cell(point.text(key) or "-") for key in keys)]
    for _, path, form in _DOMAIN_FIGURES:
        value: Any = figures
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        is_number = isinstance(value, int | float)
        text = format(value, form) if is_number else "-"
        column = f"domains.{name}.{path}"
        cells.append(Cell(text, place(point), column, str(value)) if is_number else Cell("-"))
    return (*cells, Cell(str(figures.get("speedup_interval_basis", "-"))), Cell(_marked(point)))


def failed_table(gathered: Gathered) -> Table | None:
    """Points that failed, with the message of each."""
    failed = [point for point in gathered.points if point.status == FAILED]
    if not failed:
        return None
    rows = [(Cell(place(p)), Cell(p.message or "no message was kept")) for p in failed]
    return Table("Failed points", ("point", "what went wrong"), tuple(rows))


def point_table(
    sweep: Sweep,
    caption: str,
    figures: Sequence[tuple[str, str, str]],
    has_status: bool,
    words: Sequence[tuple[str, Callable[[Point], str]]] = (),
) -> Table:
    """One row per measured point. figures: head, column or dotted path, format; columns that no
    point knows are left out. words: head and text of what is no figure.
    """
    points = [point for point in sweep.points if point.is_measured]
    points.sort(key=_order)
    names = _shown_names(sweep, points)
    shown = [item for item in figures if any(_text(point, item[1]) for point in points)]
    marks = ("lossless", "status", "point") if has_status else ("point",)
    rows = []
    for point in points:
        cells = [Cell(point.text(name) or "-") for name in names]
        cells += [figure_cell(point, column, form) for _, column, form in shown]
        cells += [Cell(say(point)) for _, say in words]
        cells += [Cell(_lossless(point)), Cell(point.status)] if has_status else []
        rows.append((*cells, Cell(point.point_id if has_status else _marked(point))))
    heads = (*names, *(head for head, _, _ in shown), *(head for head, _ in words), *marks)
    return Table(caption, heads, tuple(rows), num_heads=len(names))


def figure_cell(point: Point, column: str, form: str) -> Cell:
    """A number with its exact text in the results; a dash where there is none."""
    value = _text(point, column)
    try:
        text = format(float(value), form)
    except ValueError:
        return Cell("-")
    return Cell(text, place(point), column, value)


def _marked(point: Point) -> str:
    """Its id, with its state where that is not finished."""
    is_plain = point.status == FINISHED
    return point.point_id if is_plain else f"{point.point_id} ({point.status})"


def place(point: Point) -> str:
    """`sweep/point_id`."""
    return f"{point.sweep}/{point.point_id}"


def _text(point: Point, column: str) -> str:
    if "." in column and column not in point.row:
        value = point.metric(column)
        return "" if value is None else str(value)
    return point.text(column)


def _shown_names(sweep: Sweep, points: Sequence[Point]) -> list[str]:
    """Drafter and gamma, swept keys, and other names that differ or are not the default."""
    swept = sweep.description.get("swept_keys")
    wanted = dict.fromkeys(chain(_NAMES, map(str, swept if isinstance(swept, list) else ())))
    columns = {key for point in points for key in point.row}
    rare = ("rate", "drafter_name")
    hidden = {name for name in rare if not any(point.text(name) for point in points)}
    hidden |= set() if _has_trees(points) else set(_TREE)
    twins = {
        "load.concurrency": "concurrency",
        "load.rate": "rate",
        "workload.path": "workload",
        "drafter.path": "drafter_name",
    }
    return [n for n in wanted if n in columns and n not in hidden and n not in twins]


def _order(point: Point) -> tuple[str, str, float, float, str]:
    return (
        point.text("workload"),
        point.text("drafter"),
        point.number("concurrency") or 0.0,
        point.number("gamma") or 0.0,
        point.text("scheduler"),
    )


def _lossless(point: Point) -> str:
    """The evidence; for sampled output, the verdict of the distribution checks."""
    evidence, verdict = point.text("lossless_evidence") or "-", point.text("lossless")
    if evidence == "untested" and verdict:
        return "verified" if verdict == "true" else "violated"
    return evidence
