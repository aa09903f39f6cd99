"""Collects English documentation: the corpus's `prose` domain.

Takes docstrings, the language reference that ships with the standard library, and package
descriptions, and keeps their blocks of running text: no parameter names, no tables, no doctests.
Called by `corpus`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

from dspark_bench.training.documents import normalise

MAX_CHARS = 1600
MIN_CHARS = 200
FULL_CHARS = 600
_MIN_BLOCK_CHARS = 60
_MIN_TEXT_CHARS = 100
_MIN_PROSE_SHARE = 0.92
_MIN_WORD_SHARE = 0.7
_MAX_NON_ASCII_SHARE = 0.005
_TABLE_LINE = re.compile(r"^(?:[|+=*#>-]|:\w+|[\w, *]+ ?: ?[\w{`\[]+|\.\. |@|\S+ \([^)]*\):?)")
_LANGUAGE_REFERENCE = "pydoc_data/topics.py"
_PROSE_MARKS = frozenset(" \n.,;:'\"()-`")


def docstring_chunks(source: str, path: str, seen: set[str]) -> Iterator[str]:
    """Yield the prose of a Python file's docstrings; of every string of the language reference.

    Chunks hold MIN_CHARS..MAX_CHARS characters; short neighbours of one file are joined. Blocks
    in `seen` are skipped and the others added to it: packages repeat whole paragraphs.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    is_reference = path.endswith(_LANGUAGE_REFERENCE)
    blocks: list[str] = []
    for node in ast.walk(tree):
        if is_reference and isinstance(node, ast.Constant) and isinstance(node.value, str):
            blocks.extend(_unseen(running_text(node.value), seen))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = _unseen(running_text(ast.get_docstring(node, clean=True) or ""), seen)
            if sum(map(len, found)) >= _MIN_TEXT_CHARS:
                blocks.append("\n\n".join(found))
    yield from _joined(blocks)


def prose_chunks(text: str) -> Iterator[str]:
    """Yield the running text of `text` in chunks of MIN_CHARS..MAX_CHARS characters."""
    yield from _joined(list(running_text(text)))


def _unseen(blocks: Iterator[str], seen: set[str]) -> list[str]:
    fresh: list[str] = []
    for block in blocks:
        normalised = normalise(block)
        if normalised not in seen:
            seen.add(normalised)
            fresh.append(block)
    return fresh


def _joined(blocks: list[str]) -> Iterator[str]:
    """Join blocks up to FULL_CHARS, or further where a block is long, and drop what stays short."""
    chunk = ""
    for block in (part for whole in blocks for part in _parts(whole)):
        if chunk and (len(chunk) >= FULL_CHARS or len(chunk) + len(block) + 2 > MAX_CHARS):
            if len(chunk) >= MIN_CHARS:
                yield chunk
            chunk = ""
        chunk = f"{chunk}\n\n{block}" if chunk else block
    if len(chunk) >= MIN_CHARS:
        yield chunk


def _parts(block: str) -> list[str]:
    if len(block) <= MAX_CHARS:
        return [block]
    return [part for part in block.split("\n\n") if len(part) <= MAX_CHARS]


def running_text(text: str) -> Iterator[str]:
    """Yield the blocks of sentences in `text`, dedented.

    A block ends at a blank line, at a line that belongs to a table, and where the indent changes.
    """
    block: list[str] = []
    indent = 0
    for line in [*inspect.cleandoc(text).split("\n"), ""]:
        stripped = line.strip()
        line_indent = len(line) - len(line.lstrip())
        is_boundary = not stripped or _TABLE_LINE.match(stripped) is not None
        if block and (is_boundary or line_indent != indent):
            if _is_running_text(joined := "\n".join(block)):
                yield joined
            block = []
        if not is_boundary:
            indent = line_indent
            block.append(stripped)


def _is_running_text(block: str) -> bool:
    if len(block) < _MIN_BLOCK_CHARS or ">>>" in block or "http" in block:
        return False
    prose = sum(c.isalpha() or c in _PROSE_MARKS for c in block)
    non_ascii = sum(not c.isascii() for c in block)
    words = block.split()
    plain_words = sum(word.strip(".,;:'\"()").isalpha() for word in words)
    return (
        (block[0].isupper() or block[0] in "`'\"")
        and block[-1] in '.:!?)`"'
        and prose >= _MIN_PROSE_SHARE * len(block)
        and non_ascii <= _MAX_NON_ASCII_SHARE * len(block)
        and plain_words >= _MIN_WORD_SHARE * len(words)
    )
