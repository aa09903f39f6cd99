"""The table of `bench_lengths`, from finished parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dspark_bench.evidence.measured_parts import measured_parts
from dspark_bench.evidence.reference_origin import measured_on
from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.reading.points import Point
from dspark_bench.report.ratios import SpeedRecords, measured_speedup

_HEAD: Final = (
    "| drafter | gamma | accepted length | S | S without circles | in circles | prompts |",
    "|---|---|---|---|---|---|---|",
)
_INTRODUCTION: Final = (
    "One request at a time, `scheduler=fixed`, chains judged by `exact`. All arms of a part and "
    "their one baseline took turns prompt by prompt. Without circles: without the requests whose "
    "baseline output repeats itself to its end, as small models do. 95 % intervals over prompts."
)


def keep_lengths(folder: Path, parts: Sequence[str], out: Path) -> str:
    """Write the table to `out` from the parts below `folder`. Returns the Markdown.

    Raises ResultsError if no part has a measured S.
    """
    found = measured_parts(folder, parts)
    text = lengths_text(found, measured_on(*(folder / part for part in found)))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return text


def lengths_text(found: Mapping[str, Sequence[Point]], origin: str) -> str:
    """Per part every arm, the comparison of drafters, and why theory is not reached.

    origin: the sentence of `measured_on`.
    """
    lines = ["# Drafters at each draft length", "", f"{_INTRODUCTION} {origin}", ""]
    for part, unsorted in found.items():
        points = sorted(unsorted, key=lambda point: (point.text("drafter"), _gamma(point)))
        name, _, temperature = part.rpartition("-")
        lines += [f"## {name}, temperature {temperature}", "", *_HEAD]
        lines += [_row(point) for point in points]
        lines += ["", *_leads(points), "", *_curves(points), "", *_gaps(points), ""]
    return "\n".join(lines)


def _row(point: Point) -> str:
    circles = point.number("degenerate_requests") or 0.0
    speedup = measured_speedup(point)
    cells = (
        point.text("drafter"),
        point.text("gamma"),
        point.interval("accepted_length").text(),
        speedup.text(),
        point.interval("speedup_not_degenerate").text() if circles else speedup.text(),
        f"{circles:.0%}",
        str(speedup.n),
    )
    return f"| {' | '.join(cells)} |"


def _fastest(points: Sequence[Point]) -> list[Point]:
    """Each drafter's fastest length, by falling S."""
    best: dict[str, Point] = {}
    for point in sorted(points, key=lambda point: -(point.number("speedup") or 0.0)):
        best.setdefault(point.text("drafter"), point)
    return list(best.values())


def _leads(points: Sequence[Point]) -> list[str]:
    """The fastest arm of each drafter behind the fastest of all."""
    first, *others = _fastest(points)
    records = SpeedRecords()
    lines = [f"Fastest: {_name(first)}, S {measured_speedup(first).text()}. Its S over that of"]
    for other in others:
        ratio = records.ratio(first, other, len(points))
        lines.append(f"- {_name(other)}: {'not paired' if ratio is None else ratio.text()}")
    return [lines[0], "", *lines[1:]] if others else [lines[0].removesuffix(" Its S over that of")]


def _curves(points: Sequence[Point]) -> list[str]:
    """Conditional acceptance by position, of each drafter's longest drafts."""
    longest = {point.text("drafter"): point for point in sorted(points, key=_gamma)}
    lines = ["Share of drafts accepted, by position, of those whose predecessors were:", ""]
    for name, point in longest.items():
        curve = point.metric("positions.conditional_acceptance")
        values = [value for value in curve if isinstance(value, float)] if curve else []
        lines.append(f"- {name}: {', '.join(f'{value:.2f}' for value in values) or 'none'}")
    return lines


def _gamma(point: Point) -> int:
    return int(point.text("gamma") or 0)


def _gaps(points: Sequence[Point]) -> list[str]:
    """From the formula for equal chances to what was measured, of each drafter's fastest arm."""
    lines = ["What S loses on the way from theory, and to what:", ""]
    for point in _fastest(points):
        theory = point.number("speedup_theory")
        if theory is None:
            continue
        terms = [(name, point.number(f"gap_{name}")) for name in GAP_TERMS]
        told = ", ".join(f"{name.replace('_', ' ')} {value:+.2f}" for name, value in terms if value)
        lines.append(f"- {_name(point)}: {theory:.2f} in theory; {told}")
    return lines


def _name(point: Point) -> str:
    return f"`{point.text('drafter')}` at {point.text('gamma')}"
