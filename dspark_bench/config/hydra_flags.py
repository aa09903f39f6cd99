"""Hydra's own flags: anything that asks it to show something instead of running points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from dspark_bench.config.compose import (
    VERSION_BASE,
    compose_point,
    conf_dir,
    hydra_session,
    search_path_override,
)
from dspark_bench.config.expand import Expansion, expand
from dspark_bench.config.hydra_process import command_line
from dspark_bench.config.quoting import as_hydra_reads, quoted
from dspark_bench.config.schema import CONFIG_NAME
from dspark_bench.config.validate import check_overrides
from dspark_bench.core.errors import UsageError

_IGNORED = ("-m", "--multirun", "--run", "-r")
_WITH_VALUE = ("--cfg", "-c", "--info", "-i", "--package", "-p")
_CHOICES = (
    (("--cfg", "-c"), ("job", "hydra", "all")),
    (
        ("--info", "-i"),
        ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    ),
)
_ALONE = ("--resolve",)
_ELSEWHERE = {
    "--quick": "--quick is the small size of an experiment: dspark-bench sweep +experiment=NAME "
    "--quick",
    "--fresh": "--fresh belongs to sweep and run",
    "--dry-run": "--dry-run belongs to sweep and run",
    "--hydra-help": "--hydra-help is not offered; dspark-bench sweep --help, dspark-bench list and "
    "--cfg job say what can be set",
}


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command line split into overrides and Hydra's flags with their values."""

    overrides: tuple[str, ...]
    flags: tuple[str, ...]


def split_arguments(arguments: Sequence[str]) -> Arguments:
    """Separate flags from overrides. Raises UsageError for a flag that is not Hydra's."""
    overrides: list[str] = []
    flags: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name = argument.split("=", 1)[0]
        if not argument.startswith("-"):
            overrides.append(argument)
        elif name in _WITH_VALUE:
            flags += [argument] if "=" in argument else [argument, *_next(rest, argument)]
        elif name in _ALONE:
            flags.append(argument)
        elif name in _ELSEWHERE:
            raise UsageError(_ELSEWHERE[name])
        elif name not in _IGNORED:
            valid = ", ".join(("--fresh", "--dry-run", "--config-dir", *_WITH_VALUE, *_ALONE))
            raise UsageError(f"unknown option {argument}; valid: {valid}, or overrides key=value")
    for override in overrides:
        if "=" not in override and not override.startswith("~"):
            raise UsageError(f"{override!r} is no override; valid: key=value, +key=value, ~key")
    return Arguments(as_hydra_reads(overrides), tuple(flags))


def show(arguments: Arguments, config_dir: Path | None) -> None:
    """Let Hydra print what its flags ask for. Raises UsageError if it cannot."""
    expansion = expand(arguments.overrides)
    if len(expansion.points) > 1:
        keys = ", ".join(expansion.swept_keys)
        raise UsageError(f"{arguments.flags[0]} shows one point, but {keys} has several values")
    _check_shown(arguments, config_dir, expansion)
    main = hydra.main(
        config_path=str(conf_dir()), config_name=CONFIG_NAME, version_base=VERSION_BASE
    )
    extra = [
        *search_path_override(config_dir, arguments.overrides),
        f"name={quoted(expansion.name)}",
    ]
    with command_line([*arguments.flags, *arguments.overrides, *extra]):
        try:
            main(_nothing)()
        except SystemExit as stop:
            if stop.code not in (None, 0):
                raise UsageError(f"{arguments.flags[0]}: see above") from stop


def _check_shown(arguments: Arguments, config_dir: Path | None, expansion: Expansion) -> None:
    """Find every mistake that Hydra would report in lines of its own."""
    found = _values(arguments.flags)
    for names, valid in _CHOICES:
        for name in names:
            if name in found and found[name] not in valid:
                raise UsageError(f"{name} is {found[name]!r}; valid: {', '.join(valid)}")
    check_overrides(arguments.overrides)
    with hydra_session():
        values = compose_point(
            [*expansion.points[0], *search_path_override(config_dir, arguments.overrides)]
        ).values
    for name in ("--package", "-p"):
        package = found.get(name)
        if package is not None and OmegaConf.select(OmegaConf.create(values), package) is None:
            raise UsageError(f"{name} is {package!r}; valid: {', '.join(values)}")


def _values(flags: Sequence[str]) -> dict[str, str]:
    """Flags with their values, however they are joined."""
    found: dict[str, str] = {}
    rest = iter(flags)
    for flag in rest:
        name, mark, value = flag.partition("=")
        if name in _WITH_VALUE:
            found[name] = value if mark else next(rest, "")
    return found


def _nothing(config: DictConfig) -> None:
    """The task of a command that only shows."""


def _next(rest: Iterator[str], flag: str) -> list[str]:
    value = next(rest, None)
    if value is None:
        raise UsageError(f"{flag} needs a value")
    return [value]
