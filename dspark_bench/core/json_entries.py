"""The entries of a JSON file, however it is laid out: one a line, an array, or spread over lines.

Read by prompt files and traces, which give meaning to the entries.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dspark_bench.core.json_text import parse_json

_SPACE: Final = " \t\r\n"
_SPACES: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One value with its place: `number` of its line, or in an array its own number, from 1.

    where: as messages name it, `:3` for a line and `[3]` in an array.
    """

    value: Any
    number: int
    where: str


class NotJsonError(ValueError):
    """Text that is no JSON. line: where it ends to be, from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def looks_like_json(text: str) -> bool:
    """Whether the first character that is no space opens an object or an array."""
    return text.lstrip(_SPACE)[:1] in ("{", "[")


def json_entries(text: str) -> list[Entry]:
    """Every entry of `text`, which may be JSON lines, one array, or objects one after another.

    Raises NotJsonError.
    """
    try:
        entries = list(_by_line(text))
    except NotJsonError as error:
        if not looks_like_json(text):
            raise
        entries = _spread(text, error)
    if len(entries) == 1 and isinstance(entries[0].value, list):
        return [Entry(value, n, f"[{n}]") for n, value in enumerate(entries[0].value, start=1)]
    return entries


def _by_line(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip(_SPACE):
            try:
                yield Entry(parse_json(line), number, f":{number}")
            except ValueError as error:
                raise NotJsonError(number, str(error)) from error


def _spread(text: str, by_line: NotJsonError) -> list[Entry]:
    """Values one after another, each over as many lines as it takes.

    Raises `by_line`, what is wrong with the text as JSON lines, if that is what it is: one line, a
    first line that is whole, or one that opens an object though a later line is an object too.
    """
    first, *others = [line for line in text.split("\n") if line.strip(_SPACE)]
    opens_object = first.lstrip(_SPACE).startswith("{")
    if not others or _is_value(first) or (opens_object and any(map(_is_object, others))):
        raise by_line
    decoder, place, line = json.JSONDecoder(), 0, 1
    entries: list[Entry] = []
    while True:
        start = _SPACES.match(text, place).end()  # type: ignore[union-attr]
        line += text.count("\n", place, start)
        if start == len(text):
            return entries
        try:
            value, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise NotJsonError(error.lineno, f"{error.msg} (column {error.colno})") from error
        except RecursionError as error:
            raise NotJsonError(line, "it is nested too deeply") from error
        except ValueError as error:  # a number of too many digits
            raise NotJsonError(line, str(error).partition("; use sys.")[0]) from error
        entries.append(Entry(value, line, f":{line}"))
        line += text.count("\n", start, end)
        place = end


def _is_value(line: str) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


def _is_object(line: str) -> bool:
    return line.lstrip(_SPACE).startswith("{") and _is_value(line)
