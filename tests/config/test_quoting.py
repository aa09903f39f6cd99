"""Paths reach the program as meant, `~` and `$NAME` expanded, whatever Hydra's grammar says."""

from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.expand import expand
from dspark_bench.config.quoting import as_hydra_reads, expand_paths, quoted, unquoted

_HOME = "/home/someone"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", _HOME)
    monkeypatch.setenv("SCRATCH", "/scratch/me")


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("~/m", f"{_HOME}/m"),
        ("'~/m'", f"{_HOME}/m"),
        ('"~/m"', f"{_HOME}/m"),
        ("~", _HOME),
        ("./~/m", "./~/m"),
        ("$SCRATCH/m", "/scratch/me/m"),
        ("'$SCRATCH/m'", "/scratch/me/m"),
        ("/a/$SCRATCH-$SCRATCH", "/a//scratch/me-/scratch/me"),
        ("/a/5$ and $5", "/a/5$ and $5"),
        ("/a/~b", "/a/~b"),
        ("/models/größe (1)=#2", "/models/größe (1)=#2"),
        ("/it's", "/it's"),
        ("/a\\,b", "/a,b"),
        ("1e3", "1e3"),
        ("007", "007"),
        ("true", "true"),
        ("/trailing\\", "/trailing\\"),
    ],
)
def test_a_path_is_read_as_it_is_typed(typed: str, read: str) -> None:
    (override,) = expand(as_hydra_reads([f"target.path={typed}"])).points[0]
    with hydra_session():
        assert compose_point([override]).values["target"]["path"] == read


@pytest.mark.parametrize(
    "kept",
    [
        *("gamma=~/x", "~drafter.path", "target.path=null", "target.path='/a b'"),
        *(
            "target.path=[a]",
            "name='$SCRATCH'",
            "top_p=$SCRATCH",
            "target.path=${x}/m",
            "drafter.path=choice(a,b)",
            "name='~x'",
        ),
    ],
)
def test_what_hydra_reads_right_stays(kept: str) -> None:
    assert as_hydra_reads([kept]) == (kept,)


def test_commas_sweep_and_reading_twice_changes_nothing() -> None:
    once = as_hydra_reads(["drafter.path=~/a,/b c", "results_dir=~/r"])
    assert once == (f"drafter.path='{_HOME}/a','/b c'", f"results_dir='{_HOME}/r'")
    assert as_hydra_reads(once) == once
    assert len(expand(once).points) == 2


def test_paths_in_files_are_expanded_once() -> None:
    values = {"target": {"path": "$SCRATCH"}, "results_dir": "~", "name": "~x", "note": "~/n"}
    expanded = {"target": {"path": "/scratch/me"}, "results_dir": _HOME, "name": "~x"}
    expanded["note"] = "~/n"
    assert expand_paths(values) == expanded
    assert expand_paths(expanded) == expanded


def test_quoting_is_undone_by_unquoting() -> None:
    for text in ("a", "it's", "a\\", 'say "x"', ""):
        assert unquoted(quoted(text)) == text


@pytest.mark.parametrize("override", ["workload=größe", "gamma=(", "drafter=a=b#", "engine=a(b"])
def test_what_cannot_be_read_says_how_to_quote(
    override: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["run", override]) == 2
    shown = capsys.readouterr().err
    key, _, value = override.partition("=")
    assert f"quote it: \"{key}='{value}'\"" in shown and shown.count("\n") == 1
    assert "lexer" not in shown.lower() and "token" not in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--hydra-help"], "--hydra-help is not offered"),
        (["run", "+experiment=table1", "--quick"], "dspark-bench sweep +experiment=NAME --quick"),
        (["verify", "--fresh"], "--fresh belongs to sweep and run"),
        (["run", "--nope"], "unknown option --nope; valid: --fresh, --dry-run, --config-dir"),
        (["run", "gamma=interval(1,4)"], "valid: key=a,b or key=range(start,stop)"),
        (["run", "drafter=glob(semi*)"], "glob is not supported; valid: key=a,b"),
    ],
)
def test_options_that_are_not_here_take_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(arguments) == 2
    shown = capsys.readouterr().err
    assert says in shown and shown.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["run", "results_dir=$SCRATHC/r", "--dry-run"], "environment has no variable SCRATHC"),
        (["run", "target.path=~xyzzy/m", "--dry-run"], "no user here is called 'xyzzy'"),
        (["recommend", "$SCRATHC/r"], "environment has no variable SCRATHC"),
        (["recommend", "$SCRATCH/r"], "/scratch/me/r"),
        (["report", "a", "--out=$SCRATHC/r"], "environment has no variable SCRATHC"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused_and_no_folder_made(
    typed: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.execute(typed) == 2
    shown = capsys.readouterr().err
    assert says in shown and shown.startswith("error: ") and shown.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_exists_as_typed_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$SCRATCH").mkdir()
    (tmp_path / "~x").mkdir()
    typed = ("results_dir=$SCRATCH", "target.path=~x")
    assert as_hydra_reads(typed) == ("results_dir='$SCRATCH'", "target.path='~x'")


def test_a_results_folder_at_home_is_made_there_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["run", "results_dir='~/r'", "--dry-run"]) == 0
    assert f"no point below {tmp_path / 'home' / 'r'}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
