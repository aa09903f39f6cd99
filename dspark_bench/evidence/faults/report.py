"""What the faults came to: one row each, and the section that is kept."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dspark_bench.evidence.robustness_file import table_rows

HEADING: Final = "## Faults"
NONE_FOUND: Final = "No problem was found."
_HEAD: Final = (
    "| fault | how | times | what came of it | problems | commit |",
    "|---|---|---|---|---|---|",
)


@dataclass(slots=True)
class Tally:
    """One kind of fault. how: inflicted; outcomes: counted by name; problems: what went wrong.

    n: how often; mutated while the fault is being repeated.
    """

    name: str
    how: str
    n: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def expect(self, is_so: bool, problem: str) -> None:
        """Note a problem unless it is so."""
        if not is_so:
            self.problems.append(problem)

    def progress(self, wanted: int) -> str:
        """How far it has got."""
        return f"{self.name}: {self.n} of {wanted}, {len(self.problems)} problems"

    def row(self, revision: str) -> str:
        """A row of the table. revision: of the code that was measured."""
        counted = "; ".join(f"{text}: {count}" for text, count in self.outcomes.items())
        cells = (self.name, self.how, self.n, counted, len(self.problems), revision)
        return f"| {' | '.join(map(str, cells))} |"


def section(tallies: Sequence[Tally], about: str, revision: str, before: str = "") -> str:
    """The text that is kept.

    before: the section as it stood. Rows and problems of faults that are not among the tallies
    stay, and so does what it says about them.
    """
    renewed = {tally.name: tally.row(revision) for tally in tallies}
    rows = {**table_rows(before), **renewed}
    problems = [line for line in _kept_problems(before) if _fault_of(line) not in renewed]
    problems += [
        f"- {tally.name}: {problem.splitlines()[0]}"
        for tally in tallies
        for problem in tally.problems
    ]
    said = _about(before) or about
    lines = [HEADING, "", said, "", *_HEAD, *rows.values(), "", *(problems or [NONE_FOUND]), ""]
    return "\n".join(lines)


def _kept_problems(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("- ")]


def _fault_of(line: str) -> str:
    return line.removeprefix("- ").partition(": ")[0]


def _about(text: str) -> str:
    """The paragraph below the heading."""
    found = re.match(rf"{HEADING}\n\n(.+)\n", text)
    return found[1] if found else ""
