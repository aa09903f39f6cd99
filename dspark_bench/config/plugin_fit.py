"""Whether a plug-in fits: the types of its keys, and what it can do.

YAML and overrides carry no types for plug-ins, whose groups are open, so that `load.rate=fast`
reaches a constructor unless it is found here. A constructor without annotations takes anything.
"""

import inspect
import pkgutil
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import UsageError

_NAMES: Final[dict[type, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    type(None): "null",
}


def find_class(path: str) -> type:
    """The class at `package.module.Class`. Raises whatever importing it raises, TypeError for what
    is no class. (Hydra's own function writes to the log before it raises.)
    """
    found = pkgutil.resolve_name(path)
    if not isinstance(found, type):
        raise TypeError(f"it is no class but a {type(found).__name__}")
    return found


def check_argument_types(group: str, called: type, arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for a key whose value is none of its parameter's plain types."""
    known = parameters(called)
    try:
        hints = typing.get_type_hints(inspect.getattr_static(called, "__init__"))
    except Exception:  # a user's annotations may name what only a type checker imports
        return
    for key, value in arguments.items():
        accepted = _plain_types(hints.get(key)) if key in known else ()
        if accepted and not any(_is_a(value, kind) for kind in accepted):
            valid = " or ".join(_NAMES[kind] for kind in accepted)
            raise UsageError(f"{group}.{key} is {value!r}; valid: {valid}")


def check_members(what: str, built: object, protocol: type) -> None:
    """Raise UsageError if an object lacks what the engine will ask of it."""
    missing = [
        name
        for name in vars(protocol)
        if not name.startswith("_") and inspect.getattr_static(built, name, None) is None
    ]
    if missing:
        raise UsageError(
            f"{what}: {type(built).__name__} is no {protocol.__name__}: it lacks "
            f"{', '.join(missing)}"
        )


@lru_cache(maxsize=256)
def parameters(called: type) -> tuple[str, ...]:
    """Names that a constructor takes; none where Python cannot tell."""
    try:
        return tuple(inspect.signature(called).parameters)
    except (TypeError, ValueError):
        return ()


def _plain_types(hint: Any) -> tuple[type, ...]:
    """The members of an annotation, empty if one of them is not plain: then nothing is known."""
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    members = typing.get_args(hint) if is_union else (hint,)
    return tuple(members) if all(member in _NAMES for member in members) else ()


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    if kind is Path:  # a folder may be called 7
        return isinstance(value, str | int)
    return isinstance(value, kind)
