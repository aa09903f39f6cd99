"""What a report says, apart from how it is written down: blocks of plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table. text: as shown.

    point, column, value: where a figure comes from (`sweep/point_id`; a column of summary.csv, or a
    dotted path into metrics.json) and its text there; empty for words.
    """

    text: str
    point: str = ""
    column: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, column heads, and rows; the first `num_heads` cells of a row name it."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    num_heads: int = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture. alt: what it shows, in words; file: its place beside the Markdown twin."""

    title: str
    alt: str
    file: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list; `is_warning` items want to be seen."""

    items: tuple[str, ...]
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines to be typed in a shell."""

    lines: tuple[str, ...]


Block = Table | Figure | Paragraph | Items | Commands


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A report. headline: the answer in one sentence; lead: what was measured, in another."""

    title: str
    headline: str
    lead: str
    sections: tuple[Section, ...]
