"""`recommend` on a screen: one small table per setting, and one line on what would change it.

No cell is ever cut or wrapped: what does not fit beside the figures is called by a letter, and a
legend above the tables says what the letters stand for. A setting with K configurations takes at
most K + 3 lines.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dspark_bench.metrics.intervals import Interval
from dspark_bench.report.changes import Change
from dspark_bench.report.ratios import is_by_prompt
from dspark_bench.report.recommend import Candidate, Challenger, Recommendation
from dspark_bench.report.settings import configuration_of, short_label, varying
from dspark_bench.report.wording import verdict

_HEADS = ("S", "95 %", "tok/s", "winner's lead", "clear")
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Line:
    """One line on the screen; what matters most is bold on a terminal."""

    text: str
    is_bold: bool = False


Row = tuple[str, ...]
"""Label, S, its interval, tokens/s, the winner's lead, whether that is clear."""


def setting_tables(found: Sequence[Recommendation], width: int) -> list[Line]:
    """A table per setting, in their order, in at most `width` columns."""
    names, legend = _names_that_fit(found, width)
    tables = [_rows(item, names) for item in found]
    figures = _widths(tables)
    longest = max(len(row[0]) for table in tables for row in table)
    titles = max(len(item.setting) for item in found)
    is_beside = titles <= width - sum(figures) - len(_GAP) * len(figures)
    label = max(longest, titles) if is_beside else longest
    lines = list(legend)
    for item, table in zip(found, tables, strict=True):
        heads = _aligned((item.setting if is_beside else "", *_HEADS), label, figures)
        lines += [Line(heads, True)] if is_beside else [Line(item.setting, True), Line(heads)]
        lines += [Line(_aligned(row, label, figures), n == 0) for n, row in enumerate(table)]
        lines.append(Line(f"> {change_line(item, names, width - 2)}"))
        lines += [Line("")] if is_beside else []
    return lines


def _names_that_fit(
    found: Sequence[Recommendation], width: int
) -> tuple[dict[str, str], list[Line]]:
    """What configurations are called, by label, and a legend of those called by letters."""
    names = _short_names(found)
    figures = _widths([_rows(item, names) for item in found])
    room = width - sum(figures) - len(_GAP) * len(figures)
    long = [label for label, name in names.items() if len(name) > room]
    letters = {label: _letters(number) for number, label in enumerate(long)}
    legend = [Line(f"{letters[label]} = {names[label]}") for label in long]
    return names | letters, [*legend, Line("")] if legend else []


def _widths(tables: Sequence[Sequence[Row]]) -> list[int]:
    """Of the five columns of figures."""
    rows = [("", *_HEADS), *(row for table in tables for row in table)]
    return [max(len(row[column]) for row in rows) for column in range(1, len(_HEADS) + 1)]


def _rows(found: Recommendation, names: Mapping[str, str]) -> list[Row]:
    return [_row(found, place, names) for place in range(1 + len(found.challengers))]


def change_line(
    found: Recommendation, names: Mapping[str, str] | None = None, width: int = 10**6
) -> str:
    """What would change the answer, in one line that fits."""
    known = names or _short_names([found])
    parts = _candidate_lines(found, known)
    return next((text for text in parts if len(text) <= width), parts[-1][:width])


def _candidate_lines(found: Recommendation, names: Mapping[str, str]) -> list[str]:
    """The same said at falling length."""
    if found.beats_baseline is False:
        return ["no speculation is faster here: S lies below 1"]
    if not found.challengers:
        return ["nothing to compare: one configuration was measured here"]
    first = found.challengers[0]
    if not first.is_paired:
        return [
            "not comparable, not paired: no records of both over the same prompts in one block; "
            "one `sweep --fresh` over both pairs them",
            "not comparable, not paired; one `sweep --fresh` over both pairs them",
            "not comparable, not paired",
        ]
    if found.reason is not None:
        return [f"not comparable: {found.reason}", "not comparable: too few units"]
    if found.ties:
        others = ", ".join(names[other.candidate.label] for other in found.ties)
        count = len(found.ties) + 1
        more = "more prompts" if is_by_prompt(found.winner.point) else "more rounds"
        return [
            f"tie: {names[found.winner.label]} and {others}; {more} may part them",
            f"tie of {count}: {names[found.winner.label]} and those marked; {more} may part them",
            f"tie of {count}, marked; {more} may part them",
        ]
    return _needs(names[first.candidate.label], first)


def _needs(name: str, other: Challenger) -> list[str]:
    """The smallest single changes that would let it draw level."""
    known = [change for change in other.changes if change.needed is not None]
    known.sort(key=_size)
    if not known:
        said = "nothing measured says what would let it draw level"
        if other.changes:
            said = "no single change lets it draw level"
        return [f"{name}: {said}", said]
    texts = [_change(change) for change in known]
    return [
        *(f"{name} draws level with {' or '.join(texts[:n])}" for n in range(len(texts), 0, -1)),
        f"it draws level with {_change(known[0], decimals=0)}",
    ]


def _size(change: Change) -> float:
    """Changes from 0, which have no relative size, come last."""
    return math.inf if change.relative is None else abs(change.relative)


def _change(change: Change, decimals: int = 1) -> str:
    """Such as `alpha +20.0% (to 0.60)`; with no decimals `alpha +20%`."""
    if change.relative is None:
        return f"{change.term} 0 to {change.needed:.2f}"
    said = f"{change.term} {change.relative:+.{decimals}%}"
    return f"{said} (to {change.needed:.2f})" if decimals else said


def _row(found: Recommendation, place: int, names: Mapping[str, str]) -> Row:
    if place == 0:
        standing = "tie" if found.ties else "-"
        return (*_figures(found.winner, names), "-", standing)
    other = found.challengers[place - 1]
    return (*_figures(other.candidate, names), _lead(other.ratio), verdict(other, found.reason))


def _figures(candidate: Candidate, names: Mapping[str, str]) -> tuple[str, str, str, str]:
    found, speed = candidate.speedup, candidate.point.number("throughput_tok_s")
    interval = "none"
    if found.low is not None and found.high is not None:
        interval = f"{found.low:.2f}-{found.high:.2f}"
    rate = "-" if speed is None else f"{speed:.0f}" if speed >= 100 else f"{speed:.1f}"
    return names[candidate.label], f"{found.value:.2f}", interval, rate


def _lead(ratio: Interval) -> str:
    """Such as `8.3% [5.2, 14]`."""
    assert ratio.value is not None
    if ratio.low is None or ratio.high is None:
        return f"{_percent(ratio.value)}% [none]"
    return f"{_percent(ratio.value)}% [{_percent(ratio.low)}, {_percent(ratio.high)}]"


def _percent(ratio: float) -> str:
    value = 100 * (ratio - 1)
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}"


def _aligned(row: Row, label: int, figures: Sequence[int]) -> str:
    """Label and lead to the left, numbers to the right."""
    name, speedup, interval, rate, lead, clear = row
    widths = dict(zip(("S", "interval", "rate", "lead", "clear"), figures, strict=True))
    cells = (
        name.ljust(label),
        speedup.rjust(widths["S"]),
        interval.ljust(widths["interval"]),
        rate.rjust(widths["rate"]),
        lead.ljust(widths["lead"]),
        clear,
    )
    return _GAP.join(cells).rstrip()


def _short_names(found: Sequence[Recommendation]) -> dict[str, str]:
    """What is told apart by no more than it takes, by label."""
    candidates = [
        candidate
        for item in found
        for candidate in (item.winner, *(other.candidate for other in item.challengers))
    ]
    chosen = {item.label: configuration_of(item.point) for item in candidates}
    differing = varying(list(chosen.values()))
    short = {label: short_label(values, differing) for label, values in chosen.items()}
    return short if len(set(short.values())) == len(short) else {label: label for label in chosen}


def _letters(number: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
