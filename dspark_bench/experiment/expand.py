"""From a command line to its points: the same split that Hydra's own sweeper makes.

Done before anything runs, so that points can be counted, checked and named first.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from dspark_bench.experiment.compose import one_line_errors

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
    with one_line_errors():
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        points = BasicSweeper.split_arguments(parsed, None)[0]
    swept = tuple(o.get_key_element().lstrip("+~") for o in parsed if o.is_sweep_override())
    named = _explicit_name(parsed)
    return Expansion(tuple(tuple(p) for p in points), swept, named or derived_name(overrides))


def derived_name(overrides: Sequence[str]) -> str:
    """A folder name that the same overrides always give, in whatever order."""
    own = sorted(o for o in overrides if not _is_unnamed(o))
    if not own:
        return "default"
    text = "+".join(own)
    plain = re.sub(r"[^\w.=+-]+", "-", text)
    is_faithful = plain == text.replace(",", "-") and len(plain) <= _MAX_NAME
    if is_faithful:
        return plain
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{plain[:_MAX_NAME].strip('-')}-{digest}"


def _explicit_name(parsed: Sequence[Override]) -> str | None:
    for override in parsed:
        if override.key_or_group == "name" and not override.is_sweep_override():
            value = override.value()
            return None if value is None else str(value)
    return None


def _is_unnamed(override: str) -> bool:
    key = override.lstrip("+~").split("=", 1)[0]
    return key in _UNNAMED_KEYS or key.startswith("hydra")
