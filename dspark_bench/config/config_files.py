"""A look at a user's YAML before Hydra reads it, which would not say which file is wrong, and which
copies out aliases that stand for each other until memory ends.
"""

from pathlib import Path
from typing import Final

import yaml

from dspark_bench.config.schema import GROUPS
from dspark_bench.core.errors import UsageError

MAX_VALUES: Final = 100_000
"""Values in one file once every alias is written out."""


def check_config_dir(folder: Path) -> None:
    """Raise UsageError for a folder that is none, or holds a group's file that cannot be used."""
    if not folder.is_dir():
        raise UsageError(f"--config-dir {folder}: no such folder")
    for group in GROUPS:
        for path in sorted((folder / group).rglob("*.yaml")):
            check_yaml(path)


def check_yaml(path: Path) -> None:
    """Raise UsageError unless a file holds one YAML mapping of a sensible size, or nothing."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
        size = 0 if root is None else _size(root, {})
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"cannot read {path}: {reason}") from error
    except RecursionError as error:
        raise UsageError(f"cannot read {path}: it is nested too deeply") from error
    if size > MAX_VALUES:
        raise UsageError(f"{path} unfolds to {size} values; valid: up to {MAX_VALUES}")
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{path} holds no keys; valid: a YAML mapping (key: value)")


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Values below a node with every alias written out. Raises ValueError for one within itself."""
    key = id(node)
    if key in known:
        size = known[key]
        if size is None:
            raise ValueError("an alias stands for what it is part of")
        return size
    known[key] = None
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    known[key] = total = 1 + sum(_size(part, known) for part in parts)
    return total
