"""A table as wide as the terminal at most, in which what it is about is never cut.

What does not fit gives way in this order: a key that is the same in every row goes above the table;
figures go that explain others, the least wanted first; at last every key goes above the table,
where a line per row names it by number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Column:
    """name: of the key or figure; head: the same in lines; rank: 0 is never left out, the highest
    goes first; is_key: whether it tells which row this is.
    """

    name: str
    head: str
    cells: tuple[str, ...]
    rank: int = 0
    is_key: bool = False

    @property
    def width(self) -> int:
        """Characters, with the space behind it."""
        return max(len(part) for part in (*self.head.split("\n"), *self.cells)) + 1


def key_column(name: str, cells: Sequence[str]) -> Column:
    """A column of keys, its head broken where the name has dots."""
    return Column(name, name.replace(".", ".\n"), tuple(cells), is_key=True)


def fitted_table(title: str, columns: Sequence[Column], width: int) -> RenderableType:
    """The columns that fit `width` characters, below lines that say what the others hold."""
    above: list[str] = []
    kept = list(columns)
    if _too_wide(kept, width):
        shared = [c for c in kept if c.is_key and len(set(c.cells)) == 1]
        above = [" ".join(f"{c.name}={c.cells[0]}" for c in shared)] if shared else []
        kept = [column for column in kept if column not in shared]
    fewer = _without_least(kept, width)
    if _too_wide(fewer, width):
        keys = [column for column in kept if column.is_key]
        above += _numbered(keys)
        numbers = tuple(str(place + 1) for place in range(len(columns[0].cells)))
        rest = [column for column in kept if not column.is_key]
        kept = [Column("row", "", numbers, is_key=True), *rest]
        fewer = _without_least(kept, width)
    left_out = [column.name for column in kept if column not in fewer]
    if left_out:
        above.append(f"left out for want of width: {', '.join(left_out)} (summary.csv)")
    return Group(Text(title, style="italic"), *map(Text, above), _table(fewer))


def _too_wide(columns: Sequence[Column], width: int) -> bool:
    return sum(column.width for column in columns) - 1 > width


def _without_least(columns: Sequence[Column], width: int) -> list[Column]:
    kept = list(columns)
    for column in sorted(columns, key=lambda c: -c.rank):
        if column.rank == 0 or not _too_wide(kept, width):
            break
        kept.remove(column)
    return kept


def _numbered(keys: Sequence[Column]) -> list[str]:
    rows = zip(*(column.cells for column in keys), strict=True)
    names = [column.name for column in keys]
    return [
        f"{place + 1}: {' '.join(f'{n}={v}' for n, v in zip(names, row, strict=True))}"
        for place, row in enumerate(rows)
    ]


def _table(columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold underline")
    for column in columns:
        table.add_column(column.head, justify="left" if column.is_key else "right", no_wrap=True)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    return table
