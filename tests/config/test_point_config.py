"""Where a drafter's checkpoint lies when a folder above is named, and whose classes are whose."""

from pathlib import Path
from typing import Any

import pytest

from dspark_bench.config.point_config import Component, checkpoint_folder
from dspark_bench.core.errors import CheckpointError


def _checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_one_checkpoint_below_is_taken_and_several_are_named(tmp_path: Path) -> None:
    first = _checkpoint(tmp_path / "semi_ar")
    (tmp_path / "data").mkdir()
    assert checkpoint_folder(first) == first
    assert checkpoint_folder(tmp_path) == first
    assert checkpoint_folder(tmp_path / "data") == tmp_path / "data"
    assert checkpoint_folder(tmp_path / "absent") == tmp_path / "absent"
    second = _checkpoint(tmp_path / "ar")
    with pytest.raises(CheckpointError, match="holds several") as caught:
        checkpoint_folder(tmp_path)
    assert str(first) in str(caught.value) and str(second) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "is_own"),
    [
        ("dspark_bench.drafters.ar.A", True),
        ("mine.A", False),
        (None, False),
        (7, False),
        ([], False),
    ],
)
def test_only_this_packages_classes_are_its_own(path: Any, is_own: bool) -> None:
    """What is no text is refused later on, by name: here it is just not ours."""
    assert Component("x", path, {}).is_own is is_own
