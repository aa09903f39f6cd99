"""The table of planted edits: how many of each room were noticed, and which were not."""

from collections.abc import Mapping, Sequence
from typing import Final

from dspark_bench.evidence.mutants.edits import Edit
from dspark_bench.evidence.mutants.trial import Outcome

HEADING: Final = "## Planted bugs"
_HEAD: Final = (
    "| room | planted | noticed | by its own tests | by others | survived | not tried |",
    "|---|---|---|---|---|---|---|",
)

Outcomes = Mapping[Edit, Outcome | None]
"""None: not tried yet."""


def noticed(outcomes: Outcomes) -> int:
    """How many edits some test noticed."""
    return _count(outcomes, "room", "rest")


def section(outcomes: Outcomes, measured: str, minutes: float, has_rest: bool) -> str:
    """The text that is kept. measured: the commit; minutes: that the tests took in all."""
    extent = "the fast suite" if has_rest else "the tests of its room alone"
    found, total = noticed(outcomes), len(outcomes)
    about = (
        f"`make bench-mutants` (commit {measured}): {total} single edits "
        "(`dspark_bench/evidence/mutants/edits/`), one at a time in a copy of the tree, each met "
        f"by {extent}, the likeliest tests first, up to the first failure; {minutes:.0f} minutes "
        "of tests. Which test noticed which: planted_bugs.csv. "
        f"Noticed: {found} of {total} ({found / max(total, 1):.0%})."
    )
    rooms = dict.fromkeys(edit.room for edit in outcomes)
    rows = [_row(room, {e: o for e, o in outcomes.items() if e.room == room}) for room in rooms]
    rows.append(_row("all", outcomes))
    lines = [HEADING, "", about, "", *_HEAD, *rows, ""]
    return "\n".join(
        [
            *lines,
            *_listed("Survived", outcomes, "survived"),
            *_listed("Code that has moved", outcomes, "moved"),
        ]
    )


def _row(name: str, outcomes: Outcomes) -> str:
    cells = (
        *(name, len(outcomes), noticed(outcomes)),
        *(_count(outcomes, "room"), _count(outcomes, "rest"), _count(outcomes, "survived")),
        sum(outcome is None or outcome.verdict == "moved" for outcome in outcomes.values()),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _listed(title: str, outcomes: Outcomes, verdict: str) -> list[str]:
    chosen = [e for e, outcome in outcomes.items() if outcome and outcome.verdict == verdict]
    lines = [f"- `{edit.file}`: {edit.breaks}" for edit in chosen]
    return [f"{title}:", "", *lines, ""] if lines else []


def _count(outcomes: Outcomes, *verdicts: str) -> int:
    return sum(o is not None and o.verdict in verdicts for o in outcomes.values())


def progress(edit: Edit, outcome: Outcome, place: int, total: int) -> str:
    """One line per edit."""
    said = {"room": "noticed", "rest": "noticed elsewhere"}.get(outcome.verdict, outcome.verdict)
    test = f" ({outcome.test})" if outcome.test else ""
    return f"{place}/{total} {said} in {outcome.seconds:.0f} s: {edit.file}: {edit.breaks}{test}"


def rooms_of(edits: Sequence[Edit]) -> tuple[str, ...]:
    """The rooms that are edited, each once."""
    return tuple(dict.fromkeys(edit.room for edit in edits))
