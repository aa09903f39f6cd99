"""Finds the installed packages whose source and documentation make up the corpus.

The corpus is built from what every installation of this project has anyway: the standard library
and the project's runtime dependencies, found from a few roots by following their requirements.
Called by `corpus`.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import (
    Distribution,
    PackageMetadata,
    PackageNotFoundError,
    distribution,
)
from pathlib import Path
from platform import python_version

from packaging.requirements import Requirement

RUNTIME_ROOTS = (
    "torch transformers tokenizers safetensors numpy scipy pandas matplotlib rich typer "
    "hydra-core pyarrow psutil nvidia-ml-py"
).split()
STANDARD_LIBRARY = "python"
_SKIPPED_FOLDERS = frozenset(
    "test tests testing _vendor vendor _vendored site-packages lib2to3 pydoc_data_tests "
    "encodings ensurepip turtledemo __pycache__ _generated generated".split()
)


@dataclass(frozen=True)
class SourceFile:
    """One Python file: where it is now, and its path relative to its installation folder."""

    path: Path
    key: str


@dataclass(frozen=True)
class Package:
    """One package with its licence, its Python files and its description (empty if none)."""

    name: str
    version: str
    licence: str
    files: tuple[SourceFile, ...]
    description: str


def runtime_packages() -> tuple[Package, ...]:
    """The standard library, then the installed runtime dependencies by name."""
    found = sorted(_closure(RUNTIME_ROOTS).items())
    return (_standard_library(), *(_package(name, dist) for name, dist in found))


def _closure(roots: list[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    waiting = list(roots)
    while waiting:
        name = _canonical(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        waiting.extend(_requirements(found[name]))
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirements(dist: Distribution) -> Iterator[str]:
    for line in dist.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _standard_library() -> Package:
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(root.rglob("*.py"))
    files = tuple(
        SourceFile(path, f"stdlib/{path.relative_to(root).as_posix()}")
        for path in paths
        if not _SKIPPED_FOLDERS.intersection(path.relative_to(root).parts)
    )
    return Package(STANDARD_LIBRARY, python_version(), "PSF-2.0", files, "")


def _package(name: str, dist: Distribution) -> Package:
    files = tuple(
        SourceFile(Path(str(file.locate())), file.as_posix())
        for file in sorted(dist.files or ())
        if file.suffix == ".py" and not _SKIPPED_FOLDERS.intersection(file.parts)
    )
    metadata = dist.metadata
    description = _field(metadata, "Description")
    body = metadata.get_payload()  # type: ignore[attr-defined]
    text = str(description or body or "")
    return Package(name, dist.version, licence_of(dist), files, text)


def licence_of(dist: Distribution) -> str:
    """The licence a distribution states: expression, else classifiers, else first licence line."""
    metadata = dist.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    marks = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    if marks:
        return "; ".join(mark.rsplit(" :: ", 1)[-1] for mark in marks)
    return _field(metadata, "License").strip().split("\n")[0][:80] or "unstated"


def _field(metadata: PackageMetadata, name: str) -> str:
    """A metadata field, or nothing when it is absent."""
    if name not in metadata:
        return ""
    return metadata[name]
