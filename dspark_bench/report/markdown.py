"""A report as Markdown, with its figures as files beside it."""

import re

from dspark_bench.report.content import Block, Commands, Figure, Items, Page, Paragraph, Table

_SPECIAL = re.compile(r"([\\`*\[\]<>|])")


def render_markdown(page: Page) -> str:
    """The same words and numbers as the HTML page."""
    parts = [f"# {plain(page.title)}", f"**{plain(page.headline)}**", plain(page.lead)]
    for section in page.sections:
        parts.append(f"## {plain(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return plain(text)
        case Items(items):
            return "\n".join(f"- {plain(item)}" for item in items)
        case Commands(lines):
            fence = "````" if any("```" in line for line in lines) else "```"
            return "\n".join([f"{fence}sh", *lines, fence])
        case Figure(title, alt, file):
            return f"![{plain(alt)}]({file.replace(' ', '%20')})\n\n{plain(title)}"
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    rows = [
        "| " + " | ".join(map(plain, table.heads)) + " |",
        "|---" * len(table.heads) + "|",
        *("| " + " | ".join(plain(cell.text) for cell in row) + " |" for row in table.rows),
    ]
    return f"{plain(table.caption)}\n\n" + "\n".join(rows)
