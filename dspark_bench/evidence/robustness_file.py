"""`results/reference/robustness.md`: one section per bench, with its command and its revision."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Final

import typer

from dspark_bench.machine.environment import read_environment

ROBUSTNESS: Final = Path("results/reference/robustness.md")
_TITLE: Final = "# Robustness, measured\n"


def replace_section(path: Path, text: str, title: str = _TITLE) -> None:
    """Put the section in the place of the one of its heading, else at the end. Others stay.

    title: first line of a file that is not there yet.
    """
    heading = text.partition("\n")[0]
    before = path.read_text(encoding="utf-8") if path.is_file() else title
    found = _section(before, heading)
    if found is None:
        after = f"{before.rstrip()}\n\n{text.rstrip()}\n"
    else:
        start, end = found
        rest = before[end:].lstrip("\n")
        after = before[:start] + text.rstrip() + "\n" + (f"\n{rest}" if rest else "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(after, encoding="utf-8")


def read_section(path: Path, heading: str) -> str:
    """The section of this heading, which it begins with; empty if there is none."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = _section(text, heading)
    return "" if found is None else text[slice(*found)]


def table_rows(text: str) -> dict[str, str]:
    """Rows of the Markdown tables in a section, by their first cell; heads are left out."""
    rows = [
        line
        for line, below in pairwise([*text.splitlines(), ""])
        if line.startswith("| ") and not below.startswith("|---")
    ]
    return {row.removeprefix("| ").partition(" |")[0]: row for row in rows}


def choose(only: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Names of a comma list `--only`; all for an empty one. Raises BadParameter for an unknown."""
    chosen = tuple(only.split(",")) if only else known
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise typer.BadParameter(f"--only holds {unknown[0]!r}; valid: {', '.join(known)}")
    return chosen


def revision() -> str:
    """The commit that is measured, such as `1a2b3c4`; `1a2b3c4, changed` if code is not committed.

    `unknown` outside of a checkout.
    """
    environment = read_environment()
    if environment.git_revision is None:
        return "unknown"
    return environment.git_revision[:7] + (", changed" if environment.is_dirty else "")


def _section(text: str, heading: str) -> tuple[int, int] | None:
    """Where the section begins and ends."""
    found = re.search(rf"^{re.escape(heading)}\n.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return None if found is None else found.span()
