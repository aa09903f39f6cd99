"""Kinds of figures, one module each. A module with a constant `KIND` is found by itself."""

import importlib
import pkgutil

from dspark_bench.core.errors import UsageError
from dspark_bench.plots.kind import Kind


def find_kinds() -> tuple[Kind, ...]:
    """Every kind there is, in the order of a report."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(sorted((module.KIND for module in modules), key=lambda kind: kind.place))


def choose_kinds(names: tuple[str, ...]) -> tuple[Kind, ...]:
    """The kinds of these names, all of them without names. Raises UsageError."""
    kinds = find_kinds()
    known = [kind.name for kind in kinds]
    for name in names:
        if name not in known:
            raise UsageError(f"kind {name!r} is unknown; valid: {', '.join(known)}")
    return tuple(kind for kind in kinds if not names or kind.name in names)
