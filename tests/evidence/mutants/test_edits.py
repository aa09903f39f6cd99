"""Every planted edit can be planted, and is one edit."""

from pathlib import Path

import pytest

from dspark_bench.evidence.mutants.edits import read_edits
from dspark_bench.evidence.mutants.tree import REPOSITORY

_EDITS = read_edits()


@pytest.mark.parametrize("file", sorted({edit.file for edit in _EDITS}))
def test_the_old_text_of_every_edit_occurs_once(file: str) -> None:
    moved = [e.breaks for e in _EDITS if e.file == file and not e.fits(REPOSITORY)]
    assert not moved, f"{file} has changed; valid: edits whose old text occurs in it exactly once"


def test_edits_are_many_and_none_is_there_twice() -> None:
    assert len({edit.key for edit in _EDITS}) == len(_EDITS) >= 100
    assert all(edit.old != edit.new and edit.breaks for edit in _EDITS)
    assert len({edit.room for edit in _EDITS}) >= 12


def test_what_is_planted_is_python(tmp_path: Path) -> None:
    for edit in _EDITS:
        path = tmp_path / edit.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((REPOSITORY / edit.file).read_text())
        edit.plant(tmp_path)
        compile(path.read_text(), str(path), "exec")
