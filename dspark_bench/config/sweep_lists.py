"""Experiment files that stand for several sweeps: what one of them holds, before Hydra sees it.

Hydra's own experiment files change settings of one sweep, and the cross product of its commas is
all that it can run. An exhibit may need a union of products, at two sizes, and a paper many
exhibits. Such a file has `full` or `experiments` at its top:

    settings:  overrides of every sweep
    sweeps:    list of overrides; left out: one sweep of the settings alone
    full:      overrides that make the full size, or a list of them
    quick:     the same for --quick
    beside_paper: whether the paper's numbers are shown beside the outcome

Every entry of `sweeps` is combined with every entry of the size. Later wins: settings, sweeps,
size, command line.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dspark_bench.config.compose import conf_dir
from dspark_bench.core.errors import UsageError

GROUP = "experiment"
FULL, QUICK = "full", "quick"
_KEYS = ("settings", "sweeps", FULL, QUICK, "beside_paper")
_SUITE_KEYS = ("experiments", "beside_paper")


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One results folder. sweeps: overrides of each sweep that fills it."""

    name: str
    sweeps: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class SweepList:
    """An experiment of one or more exhibits. name: its folder, unless the command line has one."""

    name: str
    exhibits: tuple[Exhibit, ...]
    is_suite: bool
    is_beside_paper: bool


def read_sweep_list(
    overrides: Sequence[str], is_quick: bool = False, config_dir: Path | None = None
) -> SweepList | None:
    """The list that `experiment=NAME` or `+experiment=NAME` stands for; None for any other command.

    Raises UsageError for a file that does not fit, and for --quick without a list.
    """
    chosen = [_chosen(override) for override in overrides if _chosen(override) is not None]
    path = _find(chosen[-1] or "", config_dir) if chosen else None
    content = None if path is None else _read(path)
    if path is None or content is None:
        if is_quick:
            raise UsageError("--quick needs an experiment with sizes, such as +experiment=paper")
        return None
    typed = tuple(override for override in overrides if _chosen(override) is None)
    size = QUICK if is_quick else FULL
    name = f"{path.stem}-{QUICK}" if is_quick else path.stem
    names = content.get("experiments")
    if names is None:
        exhibits: tuple[Exhibit, ...] = (_exhibit(path, content, size, typed),)
    else:
        exhibits = tuple(_member(path, item, size, typed, config_dir) for item in names)
    return SweepList(name, exhibits, names is not None, bool(content.get("beside_paper")))


def refuse_sweep_list(overrides: Sequence[str], config_dir: Path | None = None) -> None:
    """Raise UsageError where a list of sweeps is named and one configuration is wanted."""
    found = read_sweep_list(overrides, config_dir=config_dir)
    if found is not None:
        raise UsageError(f"{GROUP}={found.name} is a list of sweeps; only sweep takes it")


def with_plain_group(overrides: Sequence[str]) -> tuple[str, ...]:
    """`+experiment=` as `experiment=`: the root has that group, so Hydra would refuse the plus."""
    return tuple(o.removeprefix("+") if _chosen(o) is not None else o for o in overrides)


def _member(
    suite: Path, name: object, size: str, typed: tuple[str, ...], config_dir: Path | None
) -> Exhibit:
    path = _find(str(name), config_dir)
    content = None if path is None else _read(path)
    if path is None or content is None or "experiments" in content:
        raise UsageError(f"{suite.name}: experiments names {name!r}; valid: files with a full size")
    return _exhibit(path, content, size, typed)


def _exhibit(path: Path, content: dict[str, Any], size: str, typed: tuple[str, ...]) -> Exhibit:
    if size not in content:
        raise UsageError(f"{path.name} has no {size} size")
    settings = _mappings(path, "settings", content.get("settings", {}))
    sweeps = _mappings(path, "sweeps", content.get("sweeps", {}))
    sizes = _mappings(path, size, content[size])
    typed_keys = {_key(override) for override in typed}
    lines = []
    for parts in itertools.product(settings, sweeps, sizes):
        merged: dict[str, str] = {}
        for part in parts:
            merged |= part
        own = [f"{key}={value}" for key, value in merged.items() if key not in typed_keys]
        lines.append((*own, *typed))
    return Exhibit(path.stem, tuple(dict.fromkeys(lines)))


def _mappings(path: Path, key: str, value: Any) -> list[dict[str, str]]:
    """One mapping or a list of them, keys to override values."""
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, dict) for item in items):
        raise UsageError(f"{path.name}: {key} is {value!r}; valid: keys with values, or a list")
    return [{str(k): "null" if v is None else str(v) for k, v in item.items()} for item in items]


def _read(path: Path) -> dict[str, Any] | None:
    """Content of a list; None for an experiment of Hydra's own kind."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"cannot read {path.name}: {reason}") from error
    if not isinstance(content, dict) or not {FULL, QUICK, "experiments"} & set(content):
        return None
    valid = _SUITE_KEYS if "experiments" in content else _KEYS
    wrong = [str(key) for key in content if key not in valid]
    if wrong:
        raise UsageError(f"{path.name} has {', '.join(wrong)}; valid: {', '.join(valid)}")
    names = content.get("experiments", [""])
    if not isinstance(names, list) or not names:
        raise UsageError(f"{path.name}: experiments is {names!r}; valid: a list of names")
    return content


def _find(name: str, config_dir: Path | None) -> Path | None:
    """The YAML file of an option, a user's own first; None is left to Hydra to complain about."""
    folders = [conf_dir()] if config_dir is None else [config_dir, conf_dir()]
    paths = (folder / GROUP / f"{name}.yaml" for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def _chosen(override: str) -> str | None:
    """NAME of `experiment=NAME` with or without a plus, else None."""
    key, mark, value = override.partition("=")
    return value if mark and key.removeprefix("+") == GROUP else None


def _key(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0]
