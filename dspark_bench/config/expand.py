"""From a command line to its points: the same split that Hydra's own sweeper makes.

Done before anything runs, so that points can be counted, checked and named first.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, ValueType
from hydra.errors import HydraException

from dspark_bench.config.compose import one_line_errors
from dspark_bench.config.quoting import names_path, quoted, unquoted
from dspark_bench.config.schema import GROUPS
from dspark_bench.core.errors import UsageError

_MAX_NAME = 100
_UNNAMED_KEYS = ("name", "results_dir")


@dataclass(frozen=True, slots=True)
class Expansion:
    """points: the overrides of each; swept_keys: keys with more than one value; name: derived."""

    points: tuple[tuple[str, ...], ...]
    swept_keys: tuple[str, ...]
    name: str


def expand(overrides: Sequence[str]) -> Expansion:
    """Every combination of the swept values. Raises UsageError for what Hydra cannot parse."""
    parser = OverridesParser.create()
    parsed = [_parse(parser, override) for override in overrides]
    with one_line_errors():
        points = BasicSweeper.split_arguments(parsed, None)[0]
    swept = tuple(o.get_key_element().lstrip("+~") for o in parsed if o.is_sweep_override())
    for key in set(swept) & set(_UNNAMED_KEYS):
        raise UsageError(f"{key} has several values; valid: one, for all points")
    if not points:
        raise UsageError(f"{', '.join(swept)}: no value to sweep over; valid: key=a,b")
    named = _explicit_name(parsed)
    name = derived_name(overrides) if named is None else named
    return Expansion(tuple(tuple(p) for p in points), swept, name)


def with_copies(overrides: Sequence[str]) -> tuple[str, ...]:
    """`measure.copies=6` as a sweep over `measure.copy`, so that each copy is a point."""
    asked = [o.partition("=")[2] for o in overrides if o.partition("=")[0] == "measure.copies"]
    if not asked or not asked[-1].isdecimal() or int(asked[-1]) < 2:
        return tuple(overrides)
    return (*overrides, f"measure.copy=range(0,{int(asked[-1])})")


def distinct_settings(points: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each point that not every point has, as typed."""
    shared = set(points[0]).intersection(*points[1:]) if points else set()
    return [" ".join(o for o in overrides if o not in shared) for overrides in points]


def _parse(parser: OverridesParser, text: str) -> Override:
    """One override, which is named if it cannot be parsed or has nothing to sweep over."""
    if not text.lstrip("+~").partition("=")[0].strip():
        raise UsageError(f"{text!r} names no key; valid: key=value, +key=value, ~key")
    try:
        parsed = parser.parse_override(text)
    except HydraException as error:
        raise _unreadable(parser, text) from error
    with one_line_errors(repr(text)):
        if parsed.is_sweep_override() and parsed.value_type is ValueType.INTERVAL_SWEEP:
            raise UsageError(
                f"{text!r}: intervals are for sweepers that search; valid: key=a,b or "
                "key=range(start,stop), the stop left out"
            )
        if parsed.is_sweep_override() and isinstance(parsed.value(), Glob):
            raise UsageError(f"{text!r}: glob is not supported; valid: key=a,b")
        if parsed.is_sweep_override() and not any(True for _ in parsed.sweep_iterator()):
            raise UsageError(f"{text!r} has no value; valid: key=a,b")
    return parsed


def _unreadable(parser: OverridesParser, text: str) -> UsageError:
    """What to type instead of an override that Hydra cannot read: a value of text is quoted."""
    key, mark, value = text.partition("=")
    better = f"{key}={quoted(value)}"
    try:
        parser.parse_override(better)
    except HydraException:
        better = ""
    if not mark or not better:
        return UsageError(f"{text!r} cannot be read; valid: key=value, +key=value, ~key")
    return UsageError(f'{text!r} cannot be read; if the value is text, quote it: "{better}"')


def derived_name(overrides: Sequence[str]) -> str:
    """A folder name that the same overrides always give, in whatever order.

    All of them as typed where a folder can be called that; else what is swept, then the choices of
    groups, then the rest as far as there is room, paths by their last part, and a hash of all.
    """
    own = sorted(_plain(o) for o in overrides if not _is_unnamed(o))
    if not own:
        return "default"
    text = "+".join(own)
    plain = _file_name(text)
    if plain == text.replace(",", "-") and len(plain) <= _MAX_NAME:
        return plain
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    parts: list[str] = []
    for override in sorted(own, key=_importance):
        part = _file_name(_short(override)).strip("-")
        if len("+".join([*parts, part])) <= _MAX_NAME:
            parts.append(part)
    return "-".join(["+".join(parts) or "sweep", digest])


def _importance(override: str) -> tuple[bool, bool, str]:
    """What is swept comes first, then what is chosen of a group."""
    key, _, value = override.partition("=")
    is_swept = "," in value or "(" in value
    return (not is_swept, key.lstrip("+") not in GROUPS, override)


def _plain(override: str) -> str:
    """An override without the quotes that only Hydra needs."""
    key, mark, value = override.partition("=")
    if not mark or not names_path(key):
        return override
    return f"{key}={','.join(unquoted(part) for part in value.split(','))}"


def _short(override: str) -> str:
    """Paths by the name of their folder or file."""
    key, mark, value = override.partition("=")
    if not mark or not names_path(key):
        return override
    return f"{key}={'-'.join(PurePath(part).name for part in value.split(','))}"


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.=+-]+", "-", text)


def _explicit_name(parsed: Sequence[Override]) -> str | None:
    for override in parsed:
        if override.key_or_group == "name" and not override.is_sweep_override():
            value = override.value()
            return None if value is None else str(value)
    return None


def _is_unnamed(override: str) -> bool:
    key = override.lstrip("+~").split("=", 1)[0]
    return key in _UNNAMED_KEYS or key.startswith("hydra")
