"""Nobody waits for a pipe, and what JSON cannot hold is one error."""

import os
from pathlib import Path

import pytest

from dspark_bench.core.json_text import load_json, read_text


def test_text_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(tmp_path / "a.json", "utf-8-sig") == "{}"
    with pytest.raises(ValueError, match="BOM"):
        load_json(tmp_path / "a.json")


def test_pipes_and_devices_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="a pipe or a device; valid: a file"):
            load_json(path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "loop"):
        with pytest.raises(OSError, match=path.name):
            read_text(path)
