"""Many points at once: one composition per choice of groups, then plain values set on a copy.

Composing reads and merges every YAML file again, which takes a tenth of a second; points of a sweep
mostly differ in values such as seed=1. These are set by the very function that Hydra composes with,
so that types, quoting and refusals are Hydra's. Whatever is more than a choice or a plain value
(`+key`, `~key`, a group with a package, a value that names another key, `${key}`) is composed as
usual, as is whatever fails, for its message, and one point of every choice, whose outcome must
agree.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict

from dspark_bench.config.compose import (
    Composed,
    compose_point,
    one_line_errors,
    own_values,
    read_choices,
)
from dspark_bench.config.schema import CONFIG_NAME, GROUPS
from dspark_bench.core.errors import UsageError

_WORTH_IT = 4
"""Points of one choice from which two compositions and copies take less than one each."""
_INTERPOLATION = "${"
"""What a value begins with that is another key's: its type is known once all are composed."""
Compose = Callable[[Sequence[str]], Composed]


@dataclass(frozen=True, slots=True)
class Split:
    """A point's overrides: what chooses groups, and the plain values in their order."""

    chosen: tuple[str, ...]
    plain: tuple[str, ...]


class _Base:
    """A composed choice of groups, on copies of which plain values are set."""

    def __init__(self, chosen: Sequence[str]) -> None:
        config = compose(CONFIG_NAME, overrides=list(chosen), return_hydra_config=True)
        self._choices = read_choices(config)
        with open_dict(config):
            del config["hydra"]
        self._pickled = pickle.dumps(config)  # read back five times faster than deepcopy copies

    def with_values(self, plain: Sequence[str]) -> Composed:
        """The point that has these values. Raises what Hydra raises."""
        config: DictConfig = pickle.loads(self._pickled)
        ConfigLoaderImpl._apply_overrides_to_config([_parsed(text) for text in plain], config)
        return Composed(own_values(config), dict(self._choices))


def compose_points(
    points: Sequence[Sequence[str]], progress: Callable[[int], None] | None = None
) -> list[Composed]:
    """What `compose_point` gives for each point, inside a `hydra_session`, in the points' order.

    progress: told how many are done. Raises UsageError with one line.
    """
    splits = [split(overrides) for overrides in points]
    counts: dict[tuple[str, ...], int] = {}
    for found in splits:
        if found is not None:
            counts[found.chosen] = counts.get(found.chosen, 0) + 1
    makers: dict[tuple[str, ...], Compose] = {}
    composed = []
    for overrides, found in zip(points, splits, strict=True):
        if found is None or counts[found.chosen] < _WORTH_IT:
            composed.append(compose_point(overrides))
        elif found.chosen not in makers:
            slow = compose_point(overrides)
            makers[found.chosen] = _maker(found, slow)
            composed.append(slow)
        else:
            composed.append(makers[found.chosen](overrides))
        if progress is not None:
            progress(len(composed))
    return composed


def split(overrides: Sequence[str]) -> Split | None:
    """Choices and plain values apart; None where something is neither. Raises UsageError."""
    chosen, plain = [], []
    for text in overrides:
        with one_line_errors(repr(text)):
            parsed = _parsed(text)
            is_plain_form = parsed.package is None and not (
                parsed.is_add()
                or parsed.is_force_add()
                or parsed.is_delete()
                or _INTERPOLATION in text
            )
            key = str(parsed.key_or_group)
            is_choice = key in GROUPS and not isinstance(parsed.value(), dict | list)
        if not is_plain_form:
            return None
        if is_choice or parsed.is_hydra_override():
            chosen.append(text)
        elif "/" in key or key in GROUPS:
            return None
        else:
            plain.append(text)
    return Split(tuple(chosen), tuple(plain))


def _maker(found: Split, slow: Composed) -> Compose:
    """How the other points of a choice are composed, having seen one that was composed as usual."""
    base = _Base(found.chosen)

    def fast(overrides: Sequence[str]) -> Composed:
        other = split(overrides)
        if other is None:
            return compose_point(overrides)
        try:
            with one_line_errors():
                return base.with_values(other.plain)
        except UsageError:
            return compose_point(overrides)

    return fast if fast((*found.chosen, *found.plain)) == slow else compose_point


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Override:
    """An override as Hydra reads it; nobody changes one once it is read."""
    return OverridesParser.create().parse_override(text)
