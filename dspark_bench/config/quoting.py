"""Overrides as typed, and as Hydra's grammar needs them.

Hydra reads a value as an expression of its own: `(`, `=`, `#` or `ö` in it is an error of its
lexer, 1e3 becomes 1000.0, and `~` stays a tilde. Folders and files may be called all that, so
values of keys that name one are quoted here, and their `~` is expanded, before Hydra sees them.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hydra.core.override_parser.types import Quote, QuotedString

_PATH_KEYS: Final = ("results_dir", "name", "path", "work", "out", "chat_template")
_PATH_ENDINGS: Final = ("_path", "_dir", "_file", "_folder")
_NO_PATHS: Final = ("name",)
"""Text that is quoted like a path, but in which `~` is a letter."""
_EXPRESSION = re.compile(
    r"(choice|range|interval|glob|sort|shuffle|tag|int|float|str|bool|json_str|extend_list)\("
)
_OWN_GRAMMAR = ("'", '"', "[", "{")


def as_hydra_reads(overrides: Sequence[str]) -> tuple[str, ...]:
    """Overrides with the values of path keys quoted and `~` expanded; others as they are.

    Commas still sweep. What is quoted already, null, a list or one of Hydra's functions stays, but
    for the `~` at the beginning of quoted text.
    """
    return tuple(_readable(text) for text in overrides)


def expand_home(values: dict[str, Any]) -> dict[str, Any]:
    """Composed values with `~` expanded once wherever a key names a path, in a file of YAML too."""
    expanded: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            expanded[key] = expand_home(value)
        elif isinstance(value, str) and names_path(key) and key not in _NO_PATHS:
            expanded[key] = _expanded(value)
        else:
            expanded[key] = value
    return expanded


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
    if value.startswith(("'~", '"~')) and value[0] == value[-1] and is_expanded:
        return f"{head}={quoted(_expanded(value[1:-1]))}"
    if value.startswith(_OWN_GRAMMAR) or "${" in value or _EXPRESSION.match(value):
        return text
    parts = [_part(part, is_expanded) for part in re.split(r"(?<!\\),", value)]
    return f"{head}={','.join(parts)}"


def _part(part: str, is_expanded: bool) -> str:
    """One value of a sweep. Hydra's own escapes are undone by quoting."""
    if part in ("", "null") or part[0] in _OWN_GRAMMAR:
        return part
    plain = re.sub(r"\\([\\,()\[\]{}:=\s'\"])", r"\1", part)
    return quoted(_expanded(plain) if is_expanded else plain)


def _expanded(path: str) -> str:
    """`~` and `~user` at the beginning as the home folder they stand for; nothing else changes."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:  # nobody has this name
        return path
