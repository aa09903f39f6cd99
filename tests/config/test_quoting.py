"""Paths reach the program as typed, `~` expanded once, whatever Hydra's grammar makes of them."""

from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.expand import expand
from dspark_bench.config.quoting import as_hydra_reads, expand_home, quoted, unquoted

_HOME = "/home/someone"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", _HOME)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("~/m", f"{_HOME}/m"),
        ("'~/m'", f"{_HOME}/m"),
        ('"~/m"', f"{_HOME}/m"),
        ("~", _HOME),
        ("./~/m", "./~/m"),
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
        *("target.path=[a]", "target.path=${x}/m", "drafter.path=choice(a,b)", "name='~x'"),
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
    values = {"target": {"path": "~/m"}, "results_dir": "~", "name": "~x", "note": "~/n"}
    expanded = {"target": {"path": f"{_HOME}/m"}, "results_dir": _HOME, "name": "~x", "note": "~/n"}
    assert expand_home(values) == expanded
    assert expand_home(expanded) == expanded


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


def test_a_results_folder_at_home_is_made_there_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["run", "results_dir='~/r'", "--dry-run"]) == 0
    assert f"no point below {tmp_path / 'home' / 'r'}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
