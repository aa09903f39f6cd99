"""Hydra's own flags: anything that asks it to show something instead of running points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from omegaconf import DictConfig

from dspark_bench.core.errors import UsageError
from dspark_bench.experiment.compose import VERSION_BASE, conf_dir, search_path_override
from dspark_bench.experiment.expand import expand
from dspark_bench.experiment.launch import command_line
from dspark_bench.experiment.schema import CONFIG_NAME, register_schema

_IGNORED = ("-m", "--multirun", "--run", "-r")
_WITH_VALUE = ("--cfg", "-c", "--info", "-i", "--package", "-p")
_ALONE = ("--resolve", "--hydra-help")


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
        elif name not in _IGNORED:
            valid = ", ".join(("--fresh", "--quick", "--config-dir", *_WITH_VALUE, *_ALONE))
            raise UsageError(f"unknown option {argument}; valid: {valid}, or overrides key=value")
    for override in overrides:
        if "=" not in override and not override.startswith("~"):
            raise UsageError(f"{override!r} is no override; valid: key=value, +key=value, ~key")
    return Arguments(tuple(overrides), tuple(flags))


def show(arguments: Arguments, config_dir: Path | None) -> None:
    """Let Hydra print what its flags ask for. Raises UsageError if it cannot."""
    expansion = expand(arguments.overrides)
    if len(expansion.points) > 1:
        keys = ", ".join(expansion.swept_keys)
        raise UsageError(f"{arguments.flags[0]} shows one point, but {keys} has several values")
    register_schema()
    main = hydra.main(
        config_path=str(conf_dir()), config_name=CONFIG_NAME, version_base=VERSION_BASE
    )
    extra = [*search_path_override(config_dir), f"name='{expansion.name}'"]
    with command_line([*arguments.flags, *arguments.overrides, *extra]):
        main(_nothing)()


def _nothing(config: DictConfig) -> None:
    """The task of a command that only shows."""


def _next(rest: Iterator[str], flag: str) -> list[str]:
    value = next(rest, None)
    if value is None:
        raise UsageError(f"{flag} needs a value")
    return [value]
