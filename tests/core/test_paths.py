"""A shell's expansions are made up for; what exists is kept, what stands for nothing refused."""

from pathlib import Path

import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.core.paths import expanded


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("JOB", "7")
    monkeypatch.delenv("ABSENT", raising=False)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("~", "/home/me"),
        ("~/r/$JOB", "/home/me/r/7"),
        ("/scratch/$JOB-$JOB.d", "/scratch/7-7.d"),
        ("a/~/b", "a/~/b"),
        ("$5 and 5$", "$5 and 5$"),
        ("${JOB}", "${JOB}"),
    ],
)
def test_expanded(typed: str, meant: str) -> None:
    assert expanded(typed) == meant


def test_what_exists_stays(tmp_path: Path) -> None:
    for name in ("$ABSENT", "$JOB", "~xyzzy", "~"):
        (tmp_path / name).mkdir()
        assert expanded(name) == name


@pytest.mark.parametrize(
    ("typed", "says"), [("r/$ABSENT", "no variable ABSENT"), ("~xyzzy/r", "called 'xyzzy'")]
)
def test_what_stands_for_nothing_is_refused(typed: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        expanded(typed)
