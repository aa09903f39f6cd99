"""A report as one HTML file: inline style, embedded pictures, no script, nothing fetched.

Readable on paper and in the dark; tables scroll by themselves on narrow screens. Every figure of a
table carries its exact value and its place in the results as attributes of a `data` element.
"""

from base64 import b64encode
from html import escape

from dspark_bench.report.content import (
    Block,
    Cell,
    Commands,
    Figure,
    Items,
    Page,
    Paragraph,
    Section,
    Table,
)

NOTHING_FETCHED = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --soft: #5c5c5c;
  --line: #d5d5d5; --shade: #f4f5f7; --mark: #0b57a4; --warn: #8a3b00; --warn-shade: #fff3e8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --soft: #a9adb3;
  --line: #3a3f45; --shade: #20242a; --mark: #7db8f5; --warn: #ffb27a; --warn-shade: #33261c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.2rem; color: var(--soft); font-weight: 600; margin: 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
.headline { font-size: 1.5rem; line-height: 1.35; margin: .5rem 0; color: var(--mark); }
.lead { color: var(--soft); margin: 0; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: .2rem 0; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { background: var(--shade); text-align: left; }
tbody th { text-align: left; font-weight: 600; }
td.number { text-align: right; white-space: nowrap; }
figure { margin: 1.2rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #ffffff; padding: .4rem;
  border: 1px solid var(--line); }
figcaption { color: var(--soft); font-size: .9rem; }
pre { background: var(--shade); padding: .7rem; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .85rem; }
ul.warnings { background: var(--warn-shade); color: var(--warn); padding: .7rem .7rem .7rem 2rem; }
li { overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; font-size: 11px; } .scroll { overflow: visible; }
  figure, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""


def render_html(page: Page) -> str:
    """The page as a document of its own."""
    sections = "\n".join(_section(section) for section in page.sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FETCHED}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(page.title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{escape(page.title)}</h1>\n"
        f'<p class="headline">{escape(page.headline)}</p>\n'
        f'<p class="lead">{escape(page.lead)}</p>\n</header>\n<main>\n{sections}\n</main>\n'
        "</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{blocks}\n</section>"


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Items(items, is_warning):
            kind = ' class="warnings"' if is_warning else ""
            listed = "\n".join(f"<li>{escape(item)}</li>" for item in items)
            return f"<ul{kind}>\n{listed}\n</ul>"
        case Commands(lines):
            return f"<pre><code>{escape(chr(10).join(lines))}</code></pre>"
        case Figure(title, alt, _, png):
            source = f"data:image/png;base64,{b64encode(png).decode('ascii')}"
            return (
                f'<figure>\n<img src="{source}" alt="{escape(alt)}">\n'
                f"<figcaption>{escape(title)}</figcaption>\n</figure>"
            )
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "\n".join(_row(row, table.num_heads) for row in table.rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption)}">\n'
        f"<table>\n<caption>{escape(table.caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _row(row: tuple[Cell, ...], num_heads: int) -> str:
    heads = "".join(f'<th scope="row">{_cell(cell)}</th>' for cell in row[:num_heads])
    others = "".join(
        f'<td class="number">{_cell(cell)}</td>' if cell.column else f"<td>{_cell(cell)}</td>"
        for cell in row[num_heads:]
    )
    return f"<tr>{heads}{others}</tr>"


def _cell(cell: Cell) -> str:
    if not cell.column:
        return escape(cell.text)
    return (
        f'<data value="{escape(cell.value)}" data-point="{escape(cell.point)}" '
        f'data-column="{escape(cell.column)}">{escape(cell.text)}</data>'
    )
