"""A look at a user's YAML before Hydra reads it, which would not say which file is wrong, and which
copies out aliases that stand for each other until memory ends.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from dspark_bench.config.schema import GROUPS
from dspark_bench.core.errors import UsageError

_NAME = re.compile(r"[^\s,'\"()\[\]]+")
MAX_VALUES: Final = 100_000
"""Values in one file once every alias is written out."""


def check_config_dir(folder: Path, overrides: Sequence[str]) -> None:
    """Raise UsageError for a folder that is none, or for a chosen file that cannot be used.

    Files that `overrides` do not choose may be broken: they concern nobody here.
    """
    if not folder.is_dir():
        raise UsageError(f"--config-dir {folder}: no such folder")
    checked: set[Path] = set()
    for override in overrides:
        group, _, value = override.lstrip("+").partition("=")
        if group in GROUPS:
            for name in _NAME.findall(value):
                _check_with_defaults(folder / group / f"{name}.yaml", checked)


def _check_with_defaults(path: Path, checked: set[Path]) -> None:
    """Check a file and those of its group that its defaults list names."""
    if path in checked or not path.is_file():
        return
    checked.add(path)
    check_yaml(path)
    content = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    pairs = content.value if isinstance(content, yaml.MappingNode) else []
    for key, value in pairs:
        if key.value == "defaults" and isinstance(value, yaml.SequenceNode):
            names = [n.value for n in value.value if isinstance(n, yaml.ScalarNode)]
            for name in names:
                _check_with_defaults(path.parent / f"{name}.yaml", checked)


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
