"""What a Markdown page says: code blocks, code spans, links, anchors and tables."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def file(self) -> Path | None:
        """Where an example is to be put: named by a comment in its first line."""
        first = self.text.partition("\n")[0]
        found = re.fullmatch(r"# ([\w./-]+\.(?:py|yaml))", first)
        return None if found is None else Path(found[1])


@dataclass(frozen=True)
class Page:
    """One page of the documentation."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        return [Block(found[1], found[2]) for found in _FENCE.finditer(self.text)]

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def spans(self) -> list[str]:
        """Inline code."""
        return _SPAN.findall(self.prose)

    @cached_property
    def links(self) -> list[str]:
        """Targets of links and pictures, as written."""
        return _LINK.findall(_SPAN.sub("code", self.prose))

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may name after `#`, as GitHub derives it from the headings."""
        return {_slug(heading) for heading in _HEADING.findall(self.prose)}

    def table_cells(self, column: int = 0) -> list[str]:
        """Cells of one column, over all tables of the page."""
        rows = [line for line in self.prose.splitlines() if line.startswith("| ")]
        return [row.strip("| ").split(" | ")[column] for row in rows if row.count(" | ") >= column]


def read_pages() -> list[Page]:
    """The README and every page of docs/."""
    return [Page(ROOT / "README.md"), *map(Page, sorted((ROOT / "docs").glob("*.md")))]


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return kept.replace(" ", "-")
