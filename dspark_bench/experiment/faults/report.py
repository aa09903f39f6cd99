"""What the faults came to: one row each, and the section that is kept."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

HEADING: Final = "## Faults"


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

    def row(self) -> str:
        """A row of the table."""
        counted = "; ".join(f"{text}: {count}" for text, count in self.outcomes.items())
        return f"| {self.name} | {self.how} | {self.n} | {counted} | {len(self.problems)} |"


def section(tallies: Iterable[Tally], about: str) -> str:
    """The text that is kept."""
    return "\n".join([HEADING, "", about, "", *table(list(tallies)), ""])


def table(tallies: Sequence[Tally]) -> list[str]:
    """Lines of Markdown, problems by name below."""
    lines = ["| fault | how | times | what came of it | problems |", "|---|---|---|---|---|"]
    lines += [tally.row() for tally in tallies]
    found = [f"- {tally.name}: {problem}" for tally in tallies for problem in tally.problems]
    return [*lines, "", *(found or ["No problem was found."])]
