"""`export` as typed: sections, one thing alone, and one line for what cannot be."""

import json
from pathlib import Path

import pytest

from dspark_bench import cli
from tests.export.folders import point, write_counts, write_loads
from tests.report.folders import write_sweep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        point("a", 1.5, gamma=2),
        point("b", 1.8, gamma=4),
        point("c", 1.2, gamma=4, concurrency=8),
    ]
    made = write_loads(tmp_path / "s", rows)
    write_counts(made, "b", 100, [60, 40, 20, 10], [40, 20, 20, 10])
    return made


def test_everything_in_sections(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["export", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "  1 request at a time: drafts of 4 (the fastest, S 1.80" in shown
    for name in ("vLLM", "SGLang", "TensorRT-LLM", "llama.cpp", "golden acceptance"):
        assert f"\n  {name}\n" in shown or f"\n{name}" in shown
    assert "[[1, 8, 4]]" in shown
    assert "semi_ar gamma 4, math: accepted length 2.30" in shown


@pytest.mark.parametrize("name", ["vllm", "trtllm", "golden", "json"])
def test_json_stands_alone(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["export", str(folder), "--format", name]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert shown.out.count("\n") == 1
    if name == "vllm":
        assert found["num_speculative_tokens_per_batch_size"] == [[1, 8, 4]]
        assert shown.err.startswith("note: ")
    if name == "trtllm":
        assert found["speculative_config"]["draft_len_schedule"] == {"8": 4}
    if name == "golden":
        assert found[0]["schedules"]["measured"] == [0.6, 0.4, 0.2, 0.1]
        assert found[0]["accepted_length"] == pytest.approx(2.3)
    if name == "json":
        (setting,) = found["settings"]
        assert [load["num_speculative_tokens"] for load in setting["loads"]] == [4, 4]
        assert setting["ranges"] == [[1, 8, 4]] and setting["reason"] is None
        assert setting["engines"]["sglang"]["value"].startswith("--speculative-algorithm DSPARK")
        assert len(found["golden_acceptance"]) == 1


@pytest.mark.parametrize("name", ["sglang", "llamacpp"])
def test_flags_stand_alone(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["export", str(folder), "gamma=4", "--format", name]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("--spec") and shown.count("\n") == 1


def test_json_also_where_nothing_can_be_ranked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = write_sweep(tmp_path / "s", [point("a", 1.5, timing_invalid="true")])
    assert cli.execute(["export", str(made), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"] == [] and "timing_invalid" in found["reason"]
    assert cli.execute(["export", str(made)]) == 0
    assert capsys.readouterr().out.startswith("no schedule: no point of ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--format", "yaml"], "--format is 'yaml'; valid: text, vllm, sglang, trtllm, llamacpp"),
        (["colour=red"], "no point has colour"),
        (["gamma=9"], "no point has gamma=9; valid: 2, 4"),
        (["gamma=2", "--format", "golden"], "no golden acceptance: 1 of 1 point: its counts"),
    ],
)
def test_bad_options_are_one_line(
    folder: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["export", str(folder), *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ") and shown.err.count("\n") == 1
    assert says in shown.err


def test_bad_folders_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = write_sweep(tmp_path / "empty", [], pending=("x",))
    (tmp_path / "nothing").mkdir()
    for place, says in (
        (tmp_path / "absent", "is not a folder"),
        (tmp_path / "nothing", "no sweep in"),
        (empty, "no measured point in"),
    ):
        assert cli.execute(["export", str(place)]) == 2
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err.count("\n") == 1 and says in shown.err


def test_one_engines_settings_are_of_one_traffic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [point("a", 1.5), point("b", 1.4, workload="code", prompts_hash="code")]
    made = write_sweep(tmp_path / "s", rows)
    assert cli.execute(["export", str(made), "--format", "vllm"]) == 2
    assert "there are 2: code; math; name one by KEY=VALUE" in capsys.readouterr().err
    assert cli.execute(["export", str(made), "workload=code", "--format", "vllm"]) == 0
    assert json.loads(capsys.readouterr().out)["num_speculative_tokens"] == 4
    assert cli.execute(["export", str(made), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["settings"]) == 2


def test_an_engine_that_gets_nothing_is_a_reason_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = write_sweep(tmp_path / "s", [point("a", 0.9)])
    assert cli.execute(["export", str(made), "--format", "vllm"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "nothing for vLLM: no speculation" in shown.err
