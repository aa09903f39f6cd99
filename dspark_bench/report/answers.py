"""The answer section of a report: who is fastest, and what would let the next one draw level."""

from collections.abc import Sequence
from itertools import groupby

from dspark_bench.reading.points import Gathered
from dspark_bench.report.content import Block, Cell, Items, Paragraph, Section, Table
from dspark_bench.report.recommend import Candidate, Challenger, Recommendation, left_out
from dspark_bench.report.tables import figure_cell, place
from dspark_bench.report.tree_gain import gain_sections
from dspark_bench.report.wording import answer, behind, short_change, verdict

_READ_CHANGES = (
    "What alone would let a slower configuration draw level, everything else as measured: relative "
    "change, and the value from and to. Costs are in baseline steps per cycle. Where no value "
    "suffices, the S that the best one gives."
)


def answer_sections(found: Sequence[Recommendation], gathered: Gathered) -> tuple[Section, ...]:
    """One section, or one per machine, this one first and what came in the box last; then what
    trees bring over chains, and what is not ranked. Where the report's headline is the sentence of
    this machine's only setting, it is not said again.
    """
    unranked = [f"not ranked: {place(point)}: {reason}" for point, reason in left_out(gathered)]
    groups = [list(group) for _, group in groupby(found, key=lambda item: item.origin)]
    is_plain = len(groups) == 1 and not groups[0][0].origin.is_named
    sections = [
        Section(
            "Answer" if is_plain else f"Answer. {own[0].origin.heading}",
            answer_blocks(own, own is groups[0]),
        )
        for own in groups
    ]
    sections += gain_sections(found)
    return (*sections, *((Section("Not ranked", (Items(tuple(unranked)),)),) if unranked else ()))


def answer_blocks(found: Sequence[Recommendation], has_headline: bool) -> tuple[Block, ...]:
    """Winners, their sentences, what would change them, and doubts.

    has_headline: a headline about these settings stands above.
    """
    is_told = has_headline and len(found) == 1
    told = () if is_told else (Items(tuple(f"{item.setting}: {answer(item)}" for item in found)),)
    changes = changes_table(found)
    notes = [f"{item.setting}: {note}" for item in found for note in item.notes]
    return (
        answer_table(found),
        *told,
        *(() if changes is None else (Paragraph(_READ_CHANGES), changes)),
        *((Items(tuple(notes)),) if notes else ()),
    )


def answer_table(found: Sequence[Recommendation]) -> Table:
    """One row per setting: the winner, the next, and whether that is more than noise."""
    heads = (
        *("setting", "fastest", "S", "low", "high", "n", "S theory"),
        *("next", "its S", "behind the fastest by", "clear of noise"),
    )
    return Table(
        "The fastest measured configuration per workload and load (95 % intervals)",
        heads,
        tuple(_answer_row(item) for item in found),
    )


def _answer_row(found: Recommendation) -> tuple[Cell, ...]:
    winner, theory = found.winner, ("S theory", "speedup_theory", ".2f")
    cells = (
        Cell(found.setting),
        Cell(winner.label),
        *_speedup_cells(winner),
        figure_cell(winner.point, "intervals.speedup.n", ".0f"),
        figure_cell(winner.point, *theory[1:]),
    )
    if not found.challengers:
        return (*cells, Cell("nothing else measured"), *(Cell("-"),) * 3)
    first = found.challengers[0]
    other = first.candidate
    its_speedup = figure_cell(other.point, "speedup", ".2f")
    is_clear = verdict(first, found.reason)
    return (*cells, Cell(other.label), its_speedup, Cell(behind(first)), Cell(is_clear))


def _speedup_cells(candidate: Candidate) -> tuple[Cell, ...]:
    names = ("speedup", "speedup_ci_low", "speedup_ci_high")
    return tuple(figure_cell(candidate.point, name, ".2f") for name in names)


def changes_table(found: Sequence[Recommendation]) -> Table | None:
    """One row per setting for the next configuration and for the best of each other drafter; None
    if nothing could be said.
    """
    told = [(item.setting, other) for item in found for other in item.challengers if other.changes]
    terms = list(dict.fromkeys(change.term for _, other in told for change in other.changes))
    if not told:
        return None
    rows = tuple(_change_row(setting, other, terms) for setting, other in told)
    heads = ("setting", "slower configuration", "behind the fastest by", *terms)
    return Table("What would let slower configurations draw level", heads, rows, num_heads=2)


def _change_row(setting: str, other: Challenger, terms: Sequence[str]) -> tuple[Cell, ...]:
    known = {change.term: short_change(change) for change in other.changes}
    said = (Cell(known.get(term, "-")) for term in terms)
    return (Cell(setting), Cell(other.candidate.label), Cell(behind(other)), *said)
