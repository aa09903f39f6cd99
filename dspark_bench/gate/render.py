"""A report as a Rich table, as Markdown for a pull request, and as JUnit for a CI server."""

import math
from collections.abc import Sequence
from xml.etree import ElementTree

from rich.table import Table

from dspark_bench.gate.figures import Figure, PointComparison
from dspark_bench.gate.plan import POWER, PlanRow
from dspark_bench.gate.report import (
    METHOD,
    VERDICT_WORDS,
    GateReport,
    OnInconclusive,
    figure_text,
    point_reasons,
)

_HEADS = ("point", "figure", "evidence", "baseline", "now", "ratio", "95 %", "n", "verdict")


def report_table(report: GateReport) -> Table:
    """One line per figure."""
    title = f"acceptance against {report.baseline}, margin {report.margin:.1%}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in _HEADS:
        is_text = name in ("point", "figure", "evidence", "verdict")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for point in report.points:
        for figure in point.figures:
            table.add_row(*_cells(point, figure))
    return table


def summary_lines(report: GateReport) -> list[str]:
    """What the table does not say: sizes, what was left out, notes, reasons, the verdict."""
    lines = []
    for point in report.points:
        lines.append(f"{point.label}: {point.num_requests} prompts paired")
        lines += [f"{point.label}: {note}" for note in point.notes]
        if point.left_out:
            lines.append(f"{point.label}: left out: {', '.join(point.left_out)}")
    lines += report.reasons()
    return [*lines, f"verdict: {VERDICT_WORDS[report.verdict]}"]


def markdown(report: GateReport) -> str:
    """For a comment on a pull request: the verdict first, then why, then every figure."""
    lines = [f"### Acceptance gate: {VERDICT_WORDS[report.verdict]}", ""]
    lines += [f"- {_escape(reason)}" for reason in report.reasons()]
    lines += [""] if report.reasons() else []
    lines += ["| " + " | ".join(_HEADS) + " |", "|---" * len(_HEADS) + "|"]
    for point in report.points:
        lines += [
            "| " + " | ".join(map(_escape, _cells(point, figure))) + " |"
            for figure in point.figures
        ]
    lines.append("")
    for point in report.points:
        notes = [*point.notes, *(f"left out: {name}" for name in point.left_out)]
        lines += [f"- {_escape(point.label)}: {_escape(note)}" for note in notes]
    return "\n".join([*lines, "", f"Margin {report.margin:.1%}. Method: {METHOD}.", ""])


def junit(report: GateReport, on_inconclusive: OnInconclusive) -> str:
    """One test case per figure, and one per point for its verdict as a whole."""
    suite = ElementTree.Element("testsuite", name="dspark-bench check")
    counts = {"tests": 0, "failures": 0, "skipped": 0, "errors": 0}
    for point in report.points:
        for figure in point.figures:
            name = f"{figure.title} ({figure.evidence})"
            case = ElementTree.SubElement(suite, "testcase", classname=point.label, name=name)
            counts["tests"] += 1
            if figure.verdict == "fail" and not point.is_too_small:
                _child(case, "failure", "regression", figure_text(figure))
                counts["failures"] += 1
        case = ElementTree.SubElement(suite, "testcase", classname=point.label, name="verdict")
        counts["tests"] += 1
        reason = "; ".join(point_reasons(point))
        if point.verdict == "open" and on_inconclusive == "pass":
            ElementTree.SubElement(case, "skipped", message=reason)
            counts["skipped"] += 1
        elif point.verdict != "pass":
            _child(case, "failure", VERDICT_WORDS[point.verdict], reason)
            counts["failures"] += 1
    return _xml(suite, counts)


def junit_error(message: str) -> str:
    """A check that could not be made is an error, not an absent test."""
    suite = ElementTree.Element("testsuite", name="dspark-bench check")
    case = ElementTree.SubElement(suite, "testcase", classname="check", name="set-up")
    _child(case, "error", "set-up", message)
    return _xml(suite, {"tests": 1, "failures": 0, "skipped": 0, "errors": 1})


def plan_table(rows: Sequence[PlanRow], margin: float) -> Table:
    """How many requests each figure needs; the largest decides."""
    title = f"requests for a margin of {margin:.1%} (unchanged code passes {POWER:.0%} of the time)"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("point", "figure", "measured with", "other seeds", "other prompts"):
        table.add_column(name, justify="left" if name in ("point", "figure") else "right")
    for row in rows:
        known = [str(n) if n is not None else "-" for n in (row.paired, row.unpaired)]
        table.add_row(row.label, row.figure, str(row.num_requests), *known)
    return table


def _cells(point: PointComparison, figure: Figure) -> list[str]:
    interval = "-"
    if math.isfinite(figure.low):
        interval = f"{figure.low:.3f}-{figure.high:.3f}"
    verdict = VERDICT_WORDS[figure.verdict]
    if figure.verdict == "open" and not figure.must_pass:
        verdict = "open"
    if point.is_too_small:
        verdict = "too few prompts"
    return [
        point.label,
        figure.title,
        figure.evidence,
        f"{figure.baseline:.3f}",
        f"{figure.value:.3f}",
        f"{figure.ratio:.3f}",
        interval,
        str(figure.n),
        verdict,
    ]


def _child(case: ElementTree.Element, tag: str, kind: str, text: str) -> None:
    ElementTree.SubElement(case, tag, type=kind, message=text).text = text


def _xml(suite: ElementTree.Element, counts: dict[str, int]) -> str:
    for name, value in counts.items():
        suite.set(name, str(value))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
