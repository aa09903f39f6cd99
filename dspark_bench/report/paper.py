"""The paper's own numbers beside ours, wherever a results folder holds the counterpart.

Models, prompts and machine differ by orders of magnitude, so what may agree is directions and
ratios. The paper's numbers lie in `paper_numbers.json`, each with its table or figure.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dspark_bench.core.errors import ResultsError
from dspark_bench.reading.gather import gather
from dspark_bench.reading.points import Gathered, Point
from dspark_bench.report.content import Cell, Page, Paragraph, Section, Table
from dspark_bench.report.markdown import render_markdown
from dspark_bench.report.paper_points import (
    DOMAINS,
    PaperPoints,
    at_gamma,
    length_ratio,
    ratio_text,
)
from dspark_bench.report.paper_serving import serving_rows
from dspark_bench.report.runs import lead_sentence

Row = tuple[str, str, str, str, str]
"""Exhibit, quantity, domain, ours, the paper's."""

_DRAFTERS = ("parallel", "ar", "semi_ar")
_GAMMA, _LONG = 7, 15
_HEADS = ("exhibit", "what", "domain", "here", "paper")


def write_paper_table(path: Path, out: Path) -> str:
    """Compare every sweep below `path` with the paper; writes Markdown to `out`, returns it.

    Raises ResultsError if nothing was measured or `out` cannot be written.
    """
    text = render_markdown(paper_page(gather(path)))
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"cannot write {out}: {error.strerror or error}") from error
    return text


def paper_page(gathered: Gathered) -> Page:
    """The table as a page."""
    numbers = paper_numbers()
    rows = paper_rows(gathered, numbers)
    note = Paragraph(
        "Ratios of ours carry 95 % intervals, paired by prompt where the records allow; the "
        "paper's prose stands for its chat benchmarks, a domain's value is the mean of three."
    )
    table = Table(
        f"{numbers['source']}; {numbers['settings']}",
        _HEADS,
        tuple(tuple(map(Cell, row)) for row in rows),
    )
    blocks = (table, note) if rows else (Paragraph("Nothing here has a counterpart in the paper."),)
    return Page(
        "Beside the paper",
        f"{len(rows)} figures beside those of the paper.",
        f"{lead_sentence(gathered)} Ours are small models: compare directions and ratios.",
        (Section("Figures", blocks),),
    )


def paper_numbers() -> dict[str, Any]:
    """The paper's numbers, as kept in the package."""
    source = Path(__file__).with_name("paper_numbers.json")
    found: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    return found


def paper_rows(gathered: Gathered, numbers: dict[str, Any]) -> list[Row]:
    """Every row that both sides have, in the paper's order."""
    points = PaperPoints([point for point in gathered.points if point.obstacle is None])
    return [
        *_table1(points, numbers),
        *_positions(points, numbers),
        *_depth(points, numbers),
        *_draft_length(points, numbers),
        *_threshold(points, numbers),
        *_reliability(points, numbers),
        *serving_rows(points, numbers["serving"]),
    ]


def paper_lengths(numbers: dict[str, Any], drafter: str, domain: str) -> dict[str, float]:
    """Mean accepted length over a domain's three benchmarks, by target."""
    table = numbers["table1"]
    places = [table["benchmarks"].index(name) for name in numbers["domains"][domain]]
    name = numbers["drafters"][drafter]
    lengths = {
        target: [rows[name][p] for p in places] for target, rows in table["accepted_length"].items()
    }
    return {target: sum(values) / len(values) for target, values in lengths.items()}


def _table1(points: PaperPoints, numbers: dict[str, Any]) -> Iterable[Row]:
    for domain in DOMAINS:
        for drafter in _DRAFTERS:
            ours = points.find(drafter, domain, _GAMMA)
            if ours is not None:
                theirs = _range(list(paper_lengths(numbers, drafter, domain).values()))
                yield _row("Table 1", f"accepted length, {drafter}", domain, _tau(ours), theirs)
    for domain in DOMAINS:
        for other in ("parallel", "ar"):
            text = ratio_text(length_ratio(points, "semi_ar", other, domain, _GAMMA))
            first = paper_lengths(numbers, "semi_ar", domain)
            second = paper_lengths(numbers, other, domain)
            theirs = _range([first[target] / second[target] for target in first])
            if text:
                yield _row("Table 1", f"accepted length, semi_ar / {other}", domain, text, theirs)


def _positions(points: PaperPoints, numbers: dict[str, Any]) -> Iterable[Row]:
    for drafter in _DRAFTERS:
        for domain, theirs in numbers["position_1"].get(drafter, {}).items():
            ours = points.find(drafter, domain, _GAMMA)
            curve = _curve(ours, "conditional_acceptance")
            if curve:
                what = f"conditional acceptance at position 1, {drafter}"
                yield _row("Figure 2", what, domain, f"{curve[0]:.2f}", f"{theirs:.2f}")


def _depth(points: PaperPoints, numbers: dict[str, Any]) -> Iterable[Row]:
    for pair, theirs in numbers["depth"]["says"].items():
        first, second = pair.split("/")
        for domain in DOMAINS:
            text = ratio_text(length_ratio(points, first, second, domain, _GAMMA))
            if text:
                yield _row("Figure 3", f"accepted length, {first} / {second}", domain, text, theirs)


def _draft_length(points: PaperPoints, numbers: dict[str, Any]) -> Iterable[Row]:
    known = numbers["draft_length"]["accepted_length_ratio"]
    for gamma in (_GAMMA, _LONG):
        theirs = dict(known[str(gamma)])
        theirs["mixed"] = sum(theirs.values()) / len(theirs)
        for domain, value in theirs.items():
            text = ratio_text(length_ratio(points, "semi_ar", "parallel", domain, gamma))
            what = f"accepted length, semi_ar / parallel, {at_gamma(gamma)}"
            if text:
                yield _row("Figure 4", what, domain, text, f"{value:.2f}")
    for gamma in (_GAMMA, _LONG):
        for domain in (*DOMAINS, "mixed"):
            pair = [points.find(drafter, domain, gamma) for drafter in ("semi_ar", "parallel")]
            times = [_cycle_steps(point) for point in pair]
            if times[0] and times[1]:
                what = f"time of a cycle in baseline steps, semi_ar / parallel, {at_gamma(gamma)}"
                said = numbers["draft_length"]["cycle_time_ratio"][str(gamma)]
                yield _row("Figure 4", what, domain, f"{times[0] / times[1]:.3f}", said)


def _threshold(points: PaperPoints, numbers: dict[str, Any]) -> Iterable[Row]:
    for domain in (*DOMAINS, "mixed"):
        found = points.by_key("threshold", "scheduler.threshold", domain)
        if len(found) < 2:
            continue
        for place, which in ((0, "lowest"), (-1, "highest")):
            value, point = found[place]
            rate, tau = point.number("acceptance_rate_scheduled"), point.number("emitted_length")
            said = numbers["threshold"]["acceptance_rate"].get(domain)
            theirs = f"{said[place]:.3f} (at {(0.0, 0.9)[place]:g})" if said else "-"
            if rate is not None and tau is not None:
                what = f"acceptance rate at the {which} threshold"
                ours = f"{rate:.3f} (at {value:g}; {tau:.2f} tokens per cycle)"
                yield _row("Figure 5", what, domain, ours, theirs)


def _reliability(points: PaperPoints, numbers: dict[str, Any]) -> Iterable[Row]:
    known, point = numbers["reliability"], points.calibrated(_GAMMA)
    if point is None:
        return
    scores = point.metrics["calibration"]
    for place, position in enumerate(known["positions"]):
        before, after = (_at(scores[part], "ece", position) for part in ("before", "after"))
        auc, n = (_at(scores["after"], name, position) for name in ("auc", "n"))
        if None in (before, after, n):
            continue
        ranked = "-" if auc is None else f"{auc:.3f}"
        ours = f"{before:.3f} to {after:.3f}; AUC {ranked}; n = {n:.0f}"
        theirs = (
            f"{known['ece_before'][place]:.3f} to {known['ece_after'][place]:.3f}; "
            f"AUC {known['auc'][place]:.3f}"
        )
        what = f"ECE of survival at position {position}, before to after"
        yield _row("Figure 6", what, point.text("workload"), ours, theirs)


def _row(exhibit: str, what: str, domain: str, ours: str, theirs: str) -> Row:
    return exhibit, what, domain, ours, theirs


def _tau(point: Point) -> str:
    names = ("accepted_length", "accepted_length_ci_low", "accepted_length_ci_high")
    value, low, high = (point.number(name) for name in names)
    if value is None:
        return "-"
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} [{low:.2f}-{high:.2f}]"


def _range(values: Sequence[float]) -> str:
    """The paper's value for its 4B target, and the range over all four."""
    return f"{values[0]:.2f} ({min(values):.2f} to {max(values):.2f} over {len(values)} targets)"


def _curve(point: Point | None, name: str) -> list[float]:
    positions = {} if point is None else point.metrics.get("positions", {})
    found = positions.get(name) if isinstance(positions, dict) else None
    return found if found and found[0] is not None else []


def _cycle_steps(point: Point | None) -> float | None:
    """Mean time of a cycle in steps of the point's own baseline, so that drift cancels."""
    step_s = None if point is None else point.number("baseline_step_s")
    names = ("t_draft_s", "t_schedule_s", "t_verify_s", "t_accept_s", "t_engine_s")
    times = [None if point is None else point.number(name) for name in names]
    known = [time for time in times if time is not None]
    return sum(known) / step_s if step_s and len(known) == len(names) else None


def _at(scores: dict[str, list[float | None]], name: str, position: int) -> float | None:
    values = scores.get(name, [])
    return values[position - 1] if len(values) >= position else None
