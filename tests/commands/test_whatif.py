"""`whatif` as typed: marked as a model, one line for what cannot be."""

import json
from pathlib import Path

import pytest

from dspark_bench import cli
from tests.export.folders import point, write_counts
from tests.report.folders import write_sweep
from tests.whatif.folders import write_record, write_surface


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_surface(tmp_path / "costs.json")
    return write_record(tmp_path / "s")


def test_a_table_that_says_it_is_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["whatif", str(folder)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("A model, not a measurement")
    assert "semi_ar, math: as recorded" in shown
    (row,) = [line.split() for line in shown if line.split()[:2] == ["2", "1"]]
    # 1.7 tokens; (20 + 200) / (25 + 20 / 1.7 * 15) = 1.09 against 1.20
    assert row == ["2", "1", "1.70", "1.09", "1.20", "[1.18-1.22]", "-9%", "profile", "of", "a"]
    assert any(line.startswith("not predicted: gamma 2, 4 requests at once: ") for line in shown)


def test_what_is_supposed_is_named_and_shown_beside_the_record(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = str(folder.parent / "costs.json")
    options = ["--alpha", "0.7", "--draft-cost-factor", "0.5", "--profile", costs]
    assert cli.execute(["whatif", str(folder), *options, "--gamma", "2", "--concurrency", "4"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "semi_ar, math: alpha 0.7, drafting x 0.5" in shown
    (row,) = [line.split() for line in shown if line.split()[:2] == ["2", "4"]]
    # 2.19 x 20 / (28 + 2.5); 1.7 x 20 / 33 against 0.90
    assert row[2:6] == ["2.19", "1.44", "1.70", "1.03"] and row[8:] == ["+14%", "costs.json"]


def test_json_stands_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--accepted-length", "2.5", "--gamma", "2,4", "--format", "json"]
    assert cli.execute(["whatif", str(folder), "gamma=2,4", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["is_model"] is True and found["supposed"]["accepted_length"] == 2.5
    first = found["predictions"][0]
    assert (first["gamma"], first["requests"], first["emitted_length"]) == (2, 1, 2.5)
    assert first["speedup_measured"]["value"] == 1.2 and first["model_error"] < 0
    assert len(found["not_predicted"]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--gamma", "two"], "--gamma is 'two'; valid: whole numbers from 1"),
        (["--gamma", "2,,4"], "--gamma is '2,,4'"),
        (["--concurrency", "0"], "--concurrency is '0'"),
        (["--alpha", "2"], "--alpha is 2.0; valid: 0 to 1"),
        (["--alpha", "x"], "Invalid value for '--alpha'"),
        (["--format", "csv"], "--format is 'csv'; valid: text, json"),
        (["--profile", "absent.json"], "cannot read absent.json"),
        (["gamma=3"], "no point has gamma=3; valid: 2, 4"),
        (["--gamma", "9"], "nothing can be predicted: gamma 9: acceptance was"),
    ],
)
def test_bad_options_are_one_line(
    folder: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["whatif", str(folder), *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ") and shown.err.count("\n") == 1
    assert says in shown.err


def test_an_unknown_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["whatif", str(tmp_path / "absent")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_drafters_that_no_record_speaks_for_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [point("a", 1.2, gamma=1), point("b", 1.1, gamma=1, drafter="ngram")]
    folder = write_sweep(tmp_path / "s", rows)
    write_counts(folder, "a", 10, [5], [5])
    write_counts(folder, "b", 10, [4], [2])
    write_surface(tmp_path / "costs.json")
    asked = ["whatif", str(folder), "--profile", str(tmp_path / "costs.json")]
    reason = "drafter=ngram: no record of full drafts"
    assert cli.execute(asked) == 0
    assert f"not predicted: {reason}" in capsys.readouterr().out
    assert cli.execute([*asked, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_predicted"][0].startswith(reason)
