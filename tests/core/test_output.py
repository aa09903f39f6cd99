"""Output that fails: silent where nobody reads, told at the end where it was lost."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.core.output import PatientStream


class _Broken(io.StringIO):
    """A stream whose writes fail from the second on."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self._code = code

    def write(self, text: str) -> int:
        if self.getvalue():
            raise OSError(self._code, os.strerror(self._code))
        return super().write(text)


@pytest.mark.parametrize("code", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_what_cannot_be_written_goes_nowhere(code: int) -> None:
    inner = _Broken(code)
    stream = PatientStream(inner)
    assert [stream.write(text) for text in ("one", "two", "three")] == [3, 3, 5]
    stream.flush()
    stream.writelines(["four"])
    assert inner.getvalue() == "one"
    assert (stream.failure is None) == (code != errno.ENOSPC)


def test_other_questions_go_to_the_stream() -> None:
    stream = PatientStream(io.StringIO())
    assert stream.isatty() is False


def test_a_closed_pipe_changes_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, code in ((["list"], 0), (["list", "nope"], 2)):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            monkeypatch.setattr(sys, "stderr", pipe)
            assert cli.execute(arguments) == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert cli.execute(["list"]) == 2
    shown = capsys.readouterr().err
    assert (
        shown.startswith("error: cannot write the output: No space left") and shown.count("\n") == 1
    )
