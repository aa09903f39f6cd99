"""Accepted length by target, drafter and workload (the paper's Table 1): Markdown, LaTeX, CSV."""

import pandas as pd

from dspark_bench.plots.kind import Kind, Plotted
from dspark_bench.plots.kinds.acceptance_by_position import FREE
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    best_supported,
    caption,
    columns,
    in_order,
    name_places,
    numbers,
    require,
    speculative_rows,
    unselected,
    with_interval,
)
from dspark_bench.plots.settings import drafter_columns, split

_INSIDE = ("target", "target_hash", "workload", "prompts_hash", "num_requests")


def collect(results: Results) -> Plotted:
    """Per target, drafter and workload the best supported point, at one draft length."""
    rows = require(unselected(speculative_rows(results)), "accepted_length", "n_cycles")
    rows = numbers(rows, *with_interval("accepted_length"))
    if "target" not in rows.columns:
        rows = rows.assign(target=None)
    rows = rows.assign(target=rows["target"].fillna("-"))
    free = (*FREE, *_INSIDE, "gamma")
    rows, notes = name_places(rows, ["point_id", "sweep"], drafter_columns(rows), free)
    chosen = []
    for part in split(rows, ["panel"]):
        cells = part.groupby("gamma")[["series", "workload", "target"]].apply(
            lambda group: len(group.drop_duplicates())
        )
        chosen.append(part[part["gamma"] == cells.index[cells == cells.max()].max()])
    rows = pd.concat(chosen)
    rows = best_supported(rows, "panel", "target", "series", "workload")
    rows = in_order(rows, "target", "workload")
    data = columns(
        rows, "target", "drafter", "workload", "gamma", *with_interval("accepted_length"),
        "n_units", "n_requests", "n_cycles",
    )  # fmt: skip
    bonus = "Accepted length in tokens per cycle, bonus token included."
    first, *settings = caption(rows, "accepted_length", what="Brackets")
    return Plotted(data, (f"{bonus} {first}", *settings, *notes))


def texts(plotted: Plotted) -> dict[str, str]:
    """The table as Markdown and as LaTeX (booktabs)."""
    head, body = _cells(plotted.data)
    return {
        "md": _markdown(head, body, plotted.caption),
        "tex": _latex(head, body, plotted.caption),
    }


def _cells(data: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    workloads = sorted(set(data["workload"]))
    has_panels = data["panel"].nunique() > 1
    head = ["target", "drafter", "gamma", *workloads]
    body = []
    for group in split(data, ["panel", "target", "series"]):
        first = group.iloc[0]
        cells = {row.workload: _cell(row) for row in group.itertuples()}
        body.append(
            [
                str(first["target"]),
                str(first["series"]),
                f"{first['gamma']:g}",
                *(cells.get(name, "-") for name in workloads),
                *([str(first["panel"])] if has_panels else []),
            ]
        )
    return [*head, *(["settings"] if has_panels else [])], body


def _cell(row) -> str:  # type: ignore[no-untyped-def]
    value = f"{row.accepted_length:.2f}"
    low, high = row.accepted_length_ci_low, row.accepted_length_ci_high
    interval = "" if pd.isna(low) or pd.isna(high) else f" [{low:.2f}, {high:.2f}]"
    n = "" if pd.isna(row.n_units) else f", n {row.n_units:.0f}"
    return f"{value}{interval}{n}"


def _markdown(head: list[str], body: list[list[str]], notes: tuple[str, ...]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(row)} |" for row in body]
    return "\n".join([*lines, "", *notes, ""])


def _latex(head: list[str], body: list[list[str]], notes: tuple[str, ...]) -> str:
    lines = [f"% {note}" for note in notes]
    lines += [rf"\begin{{tabular}}{{{'l' * len(head)}}}", r"\toprule"]
    lines += [" & ".join(map(_escape, head)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(_escape, row)) + r" \\" for row in body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _escape(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text


KIND = Kind("table1", "Accepted length by target, drafter and workload", 45, collect, None, texts)
