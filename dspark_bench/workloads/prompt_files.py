"""The entries of a prompt file: JSON in any spread, a table with a header, or plain lines.

Packing and encoding show in the first bytes. What the entries mean is `layouts`' part.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow
import pyarrow.parquet as parquet

from dspark_bench.core.errors import WorkloadError
from dspark_bench.core.json_entries import Entry, NotJsonError, json_entries, looks_like_json
from dspark_bench.core.packed_text import packed_text, plain_suffix, read_packed_bytes
from dspark_bench.workloads.layouts import LAYOUTS

_PARQUET: Final = b"PAR1"
_ARROW: Final = b"ARROW1"


@dataclass(frozen=True, slots=True)
class PromptFile:
    """Entries in the file's order, and what a reader must know of how they were found."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


def read_prompt_file(path: Path) -> PromptFile:
    """Every entry of a file. Raises WorkloadError naming the file and, if it can, the line."""
    try:
        content = read_packed_bytes(path)
        if content.startswith(_PARQUET):
            return PromptFile(_parquet(content))
        if content.startswith(_ARROW):
            raise ValueError("it is an Arrow file; valid: Parquet, JSON, CSV, TSV or text")
        text = packed_text(content)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        why = str(error)
        if isinstance(error, OSError) and error.strerror:
            why = f"{error.strerror}; valid: a file of prompts"
        raise WorkloadError(f"cannot read prompts {path}: {why}") from error
    if not text.strip():
        raise WorkloadError(f"{path} holds no prompt; valid: {_VALID}")
    return _BY_SUFFIX.get(plain_suffix(path), _json)(path, text)


def _json(path: Path, text: str) -> PromptFile:
    try:
        entries = json_entries(text)
    except NotJsonError as error:
        hint = "" if looks_like_json(text) else f"; valid: {_VALID}"
        raise WorkloadError(f"{path}:{error.line}: not valid JSON: {error}{hint}") from error
    if "\\ud" in text.lower():
        for entry in entries:
            if not _is_whole(json.dumps(entry.value, ensure_ascii=False)):
                raise WorkloadError(
                    f"{path}{entry.where}: holds half of a surrogate pair; valid: whole characters"
                )
    return PromptFile(tuple(entries))


def _lines(path: Path, text: str) -> PromptFile:
    """One prompt a line; JSON too, which people save under any name."""
    if text.lstrip().startswith("{"):
        return _json(path, text)
    if looks_like_json(text):
        try:
            return PromptFile(tuple(json_entries(text)))
        except NotJsonError:
            pass  # lines that open with a bracket, such as [INST]
    lines = [line.rstrip("\r") for line in text.rstrip().split("\n")]
    blank = next((n for n, line in enumerate(lines, start=1) if not line.strip()), None)
    first = next(n for n, line in enumerate(lines, start=1) if line.strip())
    if blank is not None and blank > first:
        raise WorkloadError(
            f"{path}:{blank}: a blank line, so a prompt may be a line, a paragraph or the whole "
            f"text; valid: one prompt a line and no blank line, or {_JSON_LINES}"
        )
    entries = tuple(
        Entry({"prompt": line}, number, f":{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )
    return PromptFile(entries, (f"{path.name}: each of its {len(entries)} lines is one prompt",))


def _table(delimiter: str) -> Callable[[Path, str], PromptFile]:
    """A reader of CSV or TSV: columns are named like the keys of JSON; an empty cell is none."""

    def read(path: Path, text: str) -> PromptFile:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows: list[tuple[int, list[str]]] = []
        try:
            rows.extend((reader.line_num, cells) for cells in reader if cells)
        except csv.Error as error:
            raise WorkloadError(f"{path}:{reader.line_num}: not valid CSV: {error}") from error
        return PromptFile(_entries(path, rows, delimiter))

    return read


def _entries(
    path: Path, rows: Sequence[tuple[int, list[str]]], delimiter: str
) -> tuple[Entry, ...]:
    """Rows after the header as entries. rows: (line in the file, cells), none of them blank."""
    header = [name.strip() for name in rows[0][1]]
    if not set(header) & set(LAYOUTS) or len(set(header)) < len(header):
        hint = "" if len(header) > 1 else f" (columns are parted by {delimiter!r})"
        raise WorkloadError(
            f"{path}:1: has the columns {', '.join(header)}{hint}; valid: different names, one of "
            f"them of {', '.join(LAYOUTS)}"
        )
    entries: list[Entry] = []
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise WorkloadError(
                f"{path}:{line}: {len(cells)} cells; valid: {len(header)}, as in line 1"
            )
        value = {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}
        value |= {name: "" for name in header if name in LAYOUTS and name not in value}
        entries.append(Entry(value, len(entries) + 1, f":{line}"))
    return tuple(entries)


def _parquet(content: bytes) -> tuple[Entry, ...]:
    rows = parquet.read_table(pyarrow.BufferReader(content)).to_pylist()
    return tuple(Entry(_without_nulls(row), n, f"[{n}]") for n, row in enumerate(rows, start=1))


def _without_nulls(value: object) -> object:
    """A struct's missing keys are nulls in Parquet."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


_JSON_LINES: Final = "JSON, one object a line"
_VALID: Final = (
    f"{_JSON_LINES} or in an array; .csv or .tsv with a header; .txt with a prompt a line; Parquet"
)
_BY_SUFFIX: Final[dict[str, Callable[[Path, str], PromptFile]]] = {
    ".txt": _lines,
    ".csv": _table(","),
    ".tsv": _table("\t"),
}
