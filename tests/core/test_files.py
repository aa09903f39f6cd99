"""Nobody waits for a pipe."""

import os
from pathlib import Path

import pytest

from dspark_bench.core.files import not_special


def test_files_folders_and_what_is_missing_pass(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "file", tmp_path, tmp_path / "nowhere", tmp_path / "loop"):
        assert not_special(path) == path


def test_pipes_and_devices_do_not_even_through_a_link(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", Path("/dev/zero")):
        with pytest.raises(OSError, match="a pipe or a device; valid: a file"):
            not_special(path)
