"""The source files that a user's class is made of: its own, and those beside it that it imports.

Followed by what the files say, so that nothing is run and it does not matter what else was imported
before. Installed packages do not count, but for the one that the class itself is from; nor does
this package, whose code has a hash of its own.
"""

import ast
import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dspark_bench.config.compose import PACKAGE_DIR
from dspark_bench.config.plugin_fit import find_class

_INSTALLED: Final = ("site-packages", "dist-packages")


def source_hash(class_path: str) -> str:
    """16 hex digits over a class's source files; empty where it has none.

    Raises whatever importing the class raises.
    """
    digest = hashlib.sha256()
    files = source_files(find_class(class_path))
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16] if files else ""


def source_files(made: type) -> list[Path]:
    """The file of a class, then the others in a fixed order; none where there is no source."""
    try:
        own = Path(inspect.getfile(made)).resolve()
    except (OSError, TypeError):
        return []
    name = made.__module__
    depth = name.count(".") + (own.stem == "__init__")
    if depth >= len(own.parents):
        return [own]
    root = own.parents[depth]
    found = {own: name} | {file: dotted for dotted, file in _files(root, name)}
    waiting = list(found)
    while waiting:
        file = waiting.pop()
        for imported in _imports(file, found[file]):
            for dotted, other in _files(root, imported):
                if other not in found and _counts(dotted, name, root):
                    found[other] = dotted
                    waiting.append(other)
    return [own, *sorted(file for file in found if file != own)]


def _counts(dotted: str, plugin: str, root: Path) -> bool:
    """Whether a module beside the plug-in is the user's own."""
    top = dotted.partition(".")[0]
    if top == PACKAGE_DIR.name:
        return False
    return root.name not in _INSTALLED or top == plugin.partition(".")[0]


def _imports(file: Path, name: str) -> Iterator[str]:
    """Dotted names that a file may import; what is no module among them names no file."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    package = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}".strip(".") for alias in node.names)


def _files(root: Path, dotted: str) -> Iterator[tuple[str, Path]]:
    """Files below `root` that importing a dotted name runs, with their modules' names."""
    parts = dotted.split(".")
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                yield ".".join(parts[:length]), file.resolve()
                break
