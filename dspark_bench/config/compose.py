"""Hydra's composition: where the YAML files are, and an error of one line when they do not fit.

In a wheel `conf/` lies inside the package, in a checkout beside it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dspark_bench.config.config_files import check_config_dir
from dspark_bench.config.quoting import expand_paths, quoted
from dspark_bench.config.schema import CONFIG_NAME, GROUPS, RootConfig, register_schema
from dspark_bench.config.unknown import explain_key, explain_option, unknown_key
from dspark_bench.config.wording import did_you_mean
from dspark_bench.core.errors import BenchError, UsageError

PACKAGE_DIR = Path(__file__).resolve().parents[1]
VERSION_BASE = "1.3"
_INTERNAL = (
    "full_key:",
    "object_type=",
    "reference_type=",
    "Config search path",
    "provider=",
    "Set the environment variable",
    "See https://",
)


@dataclass(frozen=True, slots=True)
class Composed:
    """One composed configuration: plain values, and which option each group took."""

    values: dict[str, Any]
    choices: dict[str, str | None]


def conf_dir() -> Path:
    """The folder of the shipped YAML files."""
    inside = PACKAGE_DIR / "conf"
    folder = inside if inside.is_dir() else PACKAGE_DIR.parent / "conf"
    if not (folder / f"{CONFIG_NAME}.yaml").is_file():
        raise UsageError(f"no configuration at {folder}: the installation is incomplete")
    return folder


def search_path_override(config_dir: Path | None, overrides: Sequence[str] = ()) -> list[str]:
    """`--config-dir` as the override that composition and launchers both understand.

    Raises UsageError for a folder that is none, or holds a file that `overrides` choose and that
    cannot be read.
    """
    if config_dir is None:
        return []
    check_config_dir(config_dir, overrides)
    return [f"hydra.searchpath=[{quoted(f'file://{config_dir.resolve()}')}]"]


@contextmanager
def hydra_session() -> Iterator[None]:
    """Hydra initialised on `conf_dir()`; on leaving, as if it had never been."""
    register_schema()
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(conf_dir()), version_base=VERSION_BASE):
        yield


def compose_point(overrides: Sequence[str]) -> Composed:
    """Compose one point inside a `hydra_session`. Raises UsageError with one line."""
    try:
        with one_line_errors():
            return to_composed(_compose(overrides))
    except UsageError as error:
        raise _explained(error, overrides) from error


def _compose(overrides: Sequence[str]) -> DictConfig:
    return compose(CONFIG_NAME, overrides=list(overrides), return_hydra_config=True)


def _explained(error: UsageError, overrides: Sequence[str]) -> UsageError:
    """An unknown key or option with what was probably meant; other mistakes as they are."""
    folders = [conf_dir(), *_search_folders(overrides)]
    key = unknown_key(str(error))
    if key is None:
        text = explain_option(str(error), folders)
        return error if text == str(error) else UsageError(text)
    chosen = [o for o in overrides if o.partition("=")[0] in (*GROUPS, "hydra.searchpath")]
    with one_line_errors():
        config = _compose(chosen)
        choices = read_choices(config)
        keys: list[Any] = [name for name in config if name != "hydra"]
        values = OmegaConf.to_container(OmegaConf.masked_copy(config, keys))
    assert isinstance(values, dict)
    plain = {str(name): value for name, value in values.items()}
    return UsageError(explain_key(key, plain, choices.get(key.split(".")[0]), folders))


def _search_folders(overrides: Sequence[str]) -> list[Path]:
    """Folders that `--config-dir` has added."""
    found = [o for o in overrides if o.startswith("hydra.searchpath=")]
    return [Path(path) for text in found for path in re.findall(r"file://(.*)'\]$", text)]


def to_composed(config: DictConfig) -> Composed:
    """Split a configuration that still holds its `hydra` node."""
    keys: list[Any] = [key for key in config if key != "hydra"]
    return Composed(own_values(OmegaConf.masked_copy(config, keys)), read_choices(config))


def read_choices(config: DictConfig) -> dict[str, str | None]:
    """The option that each group took, from a configuration's `hydra` node."""
    choices = {str(k): v for k, v in config.hydra.runtime.choices.items()}
    return {group: _choice(group, choices.get(group)) for group in GROUPS}


def own_values(config: DictConfig) -> dict[str, Any]:
    """Plain values of a configuration without its `hydra` node. Raises UsageError for its keys."""
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    plain = {str(key): value for key, value in values.items()}
    _check_keys(plain)
    return expand_paths(plain)


def _check_keys(values: Mapping[str, Any]) -> None:
    """Overrides with + and ~ add and remove keys; the root's are fixed."""
    known = [field.name for field in fields(RootConfig)]
    for key in values:
        if key not in known:
            hint = did_you_mean(key, known)
            raise UsageError(f"unknown key {key!r}{hint}; valid: {', '.join(known)}")
    for key in known:
        if key not in values:
            raise UsageError(f"{key} is missing: it may be changed, not removed")


def _choice(group: str, chosen: Any) -> str | None:
    if chosen is None or (isinstance(chosen, str) and ".." not in chosen.split("/")):
        return chosen
    raise UsageError(f"{group} is {chosen}; valid: one option's name (dspark-bench list)")


@contextmanager
def one_line_errors(about: str = "", runs_ours: bool = False) -> Iterator[None]:
    """Turn Hydra's and OmegaConf's errors into a UsageError of one line, opened by `about`.

    Hydra also lets through what its own parts raise, a YAML parser's errors among it. runs_ours:
    other errors may come from code of ours, and stay what they are.
    """
    try:
        yield
    except BenchError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(_about(about, _one_line(error))) from error
    except RecursionError as error:
        raise UsageError("the configuration refers to itself, or is nested too deeply") from error
    except Exception as error:
        if runs_ours:
            raise
        reason = _one_line(error) or type(error).__name__
        raise UsageError(_about(about or "the configuration does not fit", reason)) from error


def _about(about: str, text: str) -> str:
    return f"{about}: {text}" if about and about not in text else text


def _one_line(error: Exception) -> str:
    """The message with its cause, without the lines that name internal types."""
    parts: list[str] = []
    link: BaseException | None = error
    while link is not None:
        for line in (part.strip() for part in str(link).splitlines()):
            if line and not line.startswith(_INTERNAL) and line not in parts:
                parts.append(line)
        link = link.__cause__
    text = "; ".join(part.rstrip(".") for part in parts)
    key = getattr(error, "full_key", None)
    text = f"{key}: {text}" if key and str(key) not in text else text
    text = re.sub(r"^Error merging override (\S+); ", r"\1: ", text)
    head, mark, options = text.partition("Available options in ")
    return head + mark + options.replace("':; ", "': ").replace("; ", ", ")
