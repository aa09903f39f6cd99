"""Sections are replaced where they stand, and say which commit they are of."""

import re
from pathlib import Path

import pytest
import typer

from dspark_bench.evidence.robustness_file import (
    choose,
    read_section,
    replace_section,
    revision,
    table_rows,
)

_TEXT = "# Title\n\n## The acceptance gate\n\nold\n\n## Faults\n\nkept\n"


def test_only_its_own_section_is_replaced_and_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "robustness.md"
    path.write_text(_TEXT)
    replace_section(path, "## The acceptance gate\n\nnew\n")
    assert path.read_text() == _TEXT.replace("old", "new")
    replace_section(path, "## Faults\n\nnewer\n\n")
    assert path.read_text() == _TEXT.replace("old", "new").replace("kept", "newer")


def test_a_new_section_comes_last_and_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "robustness.md"
    replace_section(path, "## Soak\n\nfirst\n")
    replace_section(path, "## Soak, longer\n\nsecond\n")
    assert path.read_text() == (
        "# Robustness, measured\n\n## Soak\n\nfirst\n\n## Soak, longer\n\nsecond\n"
    )
    assert read_section(path, "## Soak") == "## Soak\n\nfirst\n\n"
    assert read_section(path, "## Faults") == ""
    assert read_section(tmp_path / "nowhere.md", "## Soak") == ""


def test_the_revision_is_short() -> None:
    assert re.fullmatch(r"[0-9a-f]{7}(, changed)?|unknown", revision())


def test_rows_are_known_by_their_first_cell() -> None:
    text = "## A\n\n| name | n |\n|---|---|\n| kill -9 | 2 |\n| disk (full) | 3 |\n\nnone | here\n"
    assert table_rows(text) == {"kill -9": "| kill -9 | 2 |", "disk (full)": "| disk (full) | 3 |"}


def test_chosen_parts_are_known_ones() -> None:
    known = ("kill", "disk")
    assert choose("", known) == known
    assert choose("disk", known) == ("disk",)
    with pytest.raises(typer.BadParameter, match="'disc'; valid: kill, disk"):
        choose("disk,disc", known)
