"""Copies of the repository in which edits are planted, so that the user's own is left alone."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dspark_bench.evidence.mutants.edits import Edit

REPOSITORY: Final = Path(__file__).resolve().parents[3]
_CODE: Final = (".py", ".yaml", ".toml")
_OWN: Final = ("dspark_bench/evidence/mutants/", "tests/evidence/mutants/")
"""The list of edits and its tests: what they say changes no outcome."""


def tracked_files(repository: Path) -> tuple[str, ...]:
    """Files of the working tree that git does not ignore, committed or not, sorted."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    found = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True)
    names = {name for name in found.stdout.split("\0") if name}
    return tuple(sorted(name for name in names if (repository / name).is_file()))


def code_hash(repository: Path) -> str:
    """16 hex digits over code, tests and settings: outcomes of other ones are not taken over."""
    digest = hashlib.sha256()
    for name in tracked_files(repository):
        if name.endswith(_CODE) and not name.startswith(_OWN):
            digest.update(name.encode() + b"\0" + (repository / name).read_bytes())
    return digest.hexdigest()[:16]


class ScratchTree:
    """A copy of the repository. One edit at a time is planted in it and taken out again."""

    def __init__(self, repository: Path, folder: Path) -> None:
        """Copy; whatever lies in `folder` is deleted first."""
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in tracked_files(repository):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, folder / name)

    @contextmanager
    def planted(self, edit: Edit) -> Iterator[None]:
        """The edit is there as long as the block lasts. What is put back is the copy's own text:
        the repository may have gone on since.
        """
        path = self.folder / edit.file
        text = path.read_text(encoding="utf-8")
        edit.plant(self.folder)
        try:
            yield
        finally:
            path.write_text(text, encoding="utf-8")
