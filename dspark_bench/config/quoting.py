"""Overrides as typed, and as Hydra's grammar needs them.

Hydra reads a value as an expression of its own: `(`, `=`, `#` or `ö` in it is an error of its
lexer, 1e3 becomes 1000.0, and `~` and `$NAME` stay as they are. Folders and files may be called
all that, so values of keys that name one are quoted here, and `~` and `$NAME` in them are expanded
(`core.paths`), before Hydra sees them.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from hydra.core.override_parser.types import Quote, QuotedString

from dspark_bench.core.paths import expanded

_PATH_KEYS: Final = ("results_dir", "name", "path", "work", "out", "chat_template")
_PATH_ENDINGS: Final = ("_path", "_dir", "_file", "_folder")
_NO_PATHS: Final = ("name",)
"""Text that is quoted like a path, but in which `~` and `$` are letters."""
_EXPRESSION = re.compile(
    r"(choice|range|interval|glob|sort|shuffle|tag|int|float|str|bool|json_str|extend_list)\("
)
_OWN_GRAMMAR = ("'", '"', "[", "{")


def as_hydra_reads(overrides: Sequence[str]) -> tuple[str, ...]:
    """Overrides with the values of path keys quoted and expanded; others as they are.

    Commas still sweep. What is null, a list or one of Hydra's functions stays. Quoted text is
    expanded as well. UsageError: as `core.paths.expanded`.
    """
    return tuple(_readable(text) for text in overrides)


def expand_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Composed values, paths expanded wherever a key names one, in a file of YAML too."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found[key] = expand_paths(value)
        elif isinstance(value, str) and names_path(key) and key not in _NO_PATHS:
            found[key] = expanded(value)
        else:
            found[key] = value
    return found


def names_path(key: str) -> bool:
    """Whether the last part of a dotted key is that of a folder or a file."""
    last = key.rsplit(".", 1)[-1]
    return last in _PATH_KEYS or last.endswith(_PATH_ENDINGS)


def quoted(text: str) -> str:
    """Text that Hydra reads back as it is."""
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def unquoted(text: str) -> str:
    """What quoted text stands for; other text stays."""
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return text
    return re.sub(r"\\(['\"\\])", r"\1", text[1:-1])


def _readable(text: str) -> str:
    head, mark, value = text.partition("=")
    key = head.lstrip("+~")
    if not mark or not names_path(key) or "@" in key:
        return text
    is_expanded = key not in _NO_PATHS
    if is_expanded and _is_quoted(value) and expanded(value[1:-1]) != value[1:-1]:
        return f"{head}={quoted(expanded(value[1:-1]))}"
    if value.startswith(_OWN_GRAMMAR) or "${" in value or _EXPRESSION.match(value):
        return text
    parts = [_part(part, is_expanded) for part in re.split(r"(?<!\\),", value)]
    return f"{head}={','.join(parts)}"


def _part(part: str, is_expanded: bool) -> str:
    """One value of a sweep. Hydra's own escapes are undone by quoting."""
    if part in ("", "null") or part[0] in _OWN_GRAMMAR:
        return part
    plain = re.sub(r"\\([\\,()\[\]{}:=\s'\"])", r"\1", part)
    return quoted(expanded(plain) if is_expanded else plain)


def _is_quoted(value: str) -> bool:
    """Whether all of it is one quoted text."""
    return re.fullmatch(r"'[^']*'|\"[^\"]*\"", value) is not None
