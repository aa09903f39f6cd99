"""A key or an option that does not exist: what was probably meant, and where the key does exist."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dspark_bench.config.schema import GROUPS
from dspark_bench.config.wording import closest, did_you_mean

_NO_KEY = re.compile(r"Could not override '([^']+)'")
_LAUNCHER = "hydra/launcher/joblib"
_NO_OPTION = re.compile(r"Could not find '([^/']+)/([^']+)'")


def unknown_key(message: str) -> str | None:
    """The key that Hydra's message complains of, None if it is about something else."""
    found = _NO_KEY.search(message)
    return found[1] if found else None


def explain_key(
    key: str, values: Mapping[str, Any], option: str | None, folders: Sequence[Path]
) -> str:
    """What to type instead of `key`.

    values: the configuration without it; option: what its group is set to; folders: of YAML groups.
    """
    *parents, last = key.split(".")
    level: Any = values
    for place, parent in enumerate(parents):
        if not isinstance(level, Mapping) or parent not in level:
            return explain_key(".".join(parents[: place + 1]), values, option, folders)
        level = level[parent]
    valid = (
        [str(name) for name in level if name != "_target_"] if isinstance(level, Mapping) else []
    )
    hint = did_you_mean(last, valid)
    if not parents:
        return f"there is no key {key!r}{hint}; valid: {', '.join(valid)}"
    group = parents[0]
    owner = f"{group}={option}" if len(parents) == 1 and option not in (None, "default") else group
    others = _options_with(group, last, folders) if len(parents) == 1 else []
    where = f"; {group}={'|'.join(others)} has it" if others else ""
    shown = f"; valid: {', '.join(valid)}" if valid else "; it has none"
    return f"{owner} has no key {last!r}{hint}{where}{shown}"


def explain_option(message: str, folders: Sequence[Path]) -> str:
    """Hydra's message on an option that does not exist, with the one that was probably meant."""
    if _LAUNCHER in message:
        return f"{message}; {_LAUNCHER} comes with the extra [launchers] of this package"
    found = _NO_OPTION.search(message)
    if found is None or found[1] not in GROUPS:
        return message
    group, name = found[1], found[2]
    files = [path for folder in folders for path in sorted((folder / group).glob("*.yaml"))]
    near = closest(name, [path.stem for path in files])
    heads = {path.stem: _head(path).lower() for path in files}
    called = [stem for stem, head in heads.items() if name.lower() in re.findall(r"\w+", head)]
    named = [stem for stem, head in heads.items() if name.lower() in head]
    meant = next(iter((*called, *filter(None, [near]), *named)), None)
    return message if meant is None else f"{message}; did you mean {group}={meant}?"


def _options_with(group: str, key: str, folders: Sequence[Path]) -> list[str]:
    """Options of a group whose files have a key."""
    found = []
    for folder in folders:
        for path in sorted((folder / group).glob("*.yaml")):
            try:
                content = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, ValueError, RecursionError, yaml.YAMLError):
                continue  # a broken file concerns who chooses it
            if isinstance(content, dict) and key in content:
                found.append(path.stem)
    return found


def _head(path: Path) -> str:
    """The comments that open a file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    return " ".join(line for line in lines[:6] if line.startswith("#"))
