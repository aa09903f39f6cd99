"""`dspark-bench recommend`: the answer for every setting, as lines."""

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from dspark_bench.reading.gather import gather
from dspark_bench.reading.points import Gathered
from dspark_bench.report.recommend import Recommendation, few, left_out, recommend
from dspark_bench.report.setting_table import Line, setting_tables
from dspark_bench.report.tree_gain import gain_lines
from dspark_bench.report.warnings import find_warnings
from dspark_bench.report.wording import headline, lines

_MOST_WARNINGS = 3


def print_recommendations(
    path: Path,
    say: Callable[[Line], None],
    width: int = 80,
    is_explained: bool = False,
    here: str | None = None,
) -> None:
    """Print what `path` recommends: a table per setting, and every doubt if `is_explained`.

    here: machine_id of the machine that asks. Raises ResultsError if nothing can be ranked.
    """
    gathered = gather(path, here)
    found = recommend(gathered)
    if is_explained:
        say(Line(headline(found), True))
        say(Line(""))
    for line in by_origin(found, width):
        say(line)
    for text in gain_lines(found):
        say(Line(text))
    if is_explained:
        for item in found:
            for text in lines(item):
                say(Line(text))
            say(Line(""))
    for text in _remarks(gathered, found, is_explained):
        say(Line(text))


def by_origin(found: Sequence[Recommendation], width: int) -> list[Line]:
    """The tables, under a heading per machine unless all were measured on this one."""
    shown: list[Line] = []
    for origin, group in groupby(found, key=lambda item: item.origin):
        own = list(group)
        if len(own) < len(found) or origin.is_named:
            shown += [Line(origin.heading, True), Line("")]
        shown += setting_tables(own, width)
    return shown


def _remarks(gathered: Gathered, found: Sequence[Recommendation], is_explained: bool) -> list[str]:
    """Warnings, the gravest first, and how to see what is not said here."""
    unranked = [
        f"not ranked: {point.sweep}/{point.point_id}: {reason}"
        for point, reason in left_out(gathered)
    ]
    warnings = [f"warning: {text}" for text in (*_broken(found), *find_warnings(gathered))]
    hidden = len(gathered.hidden)
    box = [f"{hidden} sweeps that came with dspark-bench are not shown; name their folder"]
    if is_explained:
        return [*unranked, *warnings, *(box if hidden else [])]
    shown = warnings[:_MOST_WARNINGS]
    more = len(warnings) - len(shown) + len(unranked)
    more += sum(len(item.notes) for item in found)
    return [*shown, f"--why: reasons, and {more} further remarks" if more else "--why: reasons"]


def _broken(found: Sequence[Recommendation]) -> list[str]:
    """Records that could not be used, in one line."""
    reasons = list(dict.fromkeys(reason for item in found for reason in item.broken))
    if not reasons:
        return []
    return [f"records cannot be used, so that leads are not paired: {few(reasons)}"]
