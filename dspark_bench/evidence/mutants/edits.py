"""The list of planted edits, and how one is put into a copy of the tree.

An edit is one realistic mistake: a condition that is dropped, a column taken for another. It is
written down before the test that answers it, and never changed to suit a test.
"""

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EDITS: Final = Path(__file__).parent / "edits"


@dataclass(frozen=True, slots=True)
class Edit:
    """One planted bug.

    file: path in the repository; old: text that occurs in it exactly once; new: what takes its
    place; breaks: what is then wrong, in a line.
    """

    file: str
    old: str
    new: str
    breaks: str

    @property
    def room(self) -> str:
        """The package below `dspark_bench` that is edited."""
        return Path(self.file).parts[1]

    @property
    def module(self) -> str:
        """The edited module, such as `dspark_bench.costs.online`."""
        return ".".join(Path(self.file).with_suffix("").parts)

    @property
    def key(self) -> str:
        """16 hex digits over the edit: its outcome is kept by them."""
        text = "\0".join((self.file, self.old, self.new))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def fits(self, tree: Path) -> bool:
        """Whether the old text is there, once; no longer so where code has moved."""
        path = tree / self.file
        return path.is_file() and path.read_text(encoding="utf-8").count(self.old) == 1

    def plant(self, tree: Path) -> None:
        """Put it into a tree that it fits. Changes the file."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def list_names(folder: Path = EDITS) -> tuple[str, ...]:
    """Names of the files that hold edits."""
    return tuple(path.stem for path in sorted(folder.glob("*.toml")))


def read_edits(folder: Path = EDITS, names: Sequence[str] = ()) -> tuple[Edit, ...]:
    """Edits of the files `names`, or all, in the order of their files.

    Raises KeyError or TypeError for one that is none.
    """
    return tuple(
        Edit(**entry)
        for path in sorted(folder.glob("*.toml"))
        if not names or path.stem in names
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["edit"]
    )
