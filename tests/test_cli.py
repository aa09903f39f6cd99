"""The command line as typed: exit codes, one-line errors, and a sweep that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from dspark_bench import cli
from dspark_bench.cli import execution
from dspark_bench.commands import block_task as task_module
from dspark_bench.commands import sweep_plan
from dspark_bench.evidence.faults.sweeps import Setting
from dspark_bench.models.draft_formats.conversion import SLUGS
from tests.evidence.faults.forked import start_fork
from tests.plots.folders import assert_from_summary
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

_REPO = Path(cli.__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "verb",
    [
        *("sweep", "run", "calibrate", "check", "plot", "report", "recommend", "list", "doctor"),
        *("export", "whatif"),
    ],
)
def test_help_names_every_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["--help"]) == 0
    assert verb in capsys.readouterr().out


def test_help_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["convert", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "ORG/NAME@REV" in shown  # square brackets would be taken for a style
    assert all(slug in shown for slug in SLUGS)
    assert cli.execute(["run", "--help"]) == 0
    assert "[KEY=VALUE]..." in capsys.readouterr().out.replace("[[", "")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["export"], "Missing argument 'path'; valid: A sweep's folder"),
        (["inspect"], "Missing argument 'MODEL'; valid: A drafter's or target's folder"),
        (["convert", "DIR"], "Missing option '--to'; valid: A drafter as deepspec"),
    ],
)
def test_what_is_missing_is_said_with_what_is_valid(
    typed: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(typed) == 2
    shown = capsys.readouterr().err
    assert line in shown and shown.count("\n") == 1


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["--version"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("dspark-bench ") and shown.count("\n") == 1


@pytest.mark.parametrize(("drafter", "folder"), [("ar", "semi_ar"), ("parallel", "ar")])
def test_a_checkpoint_of_another_kind_is_found_before_anything_runs(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    drafter: str,
    folder: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    path = getattr(tiny_zoo, folder)
    arguments = ["sweep", *kept, f"drafter={drafter}", f"drafter.path={path}", "gamma=1,2"]
    assert cli.execute(arguments) == 2
    assert "this drafter reads" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, dspark_bench.cli; print({'torch', 'hydra', 'pandas'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(_REPO)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "override",
    ["gamma=two", "gamma=0", "gamma=-1", "gamma=99", "drafter=nope", "drafter.gamma=3"],
)
def test_bad_overrides_exit_2_with_one_line(
    tiny_zoo: TinyZoo, tmp_path: Path, override: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["sweep", *tiny_overrides(tiny_zoo, tmp_path, override)]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.parametrize("arguments", [["frobnicate"], ["list", "--nope"], ["sweep", "--nope"]])
def test_unknown_verbs_and_options_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(arguments) == 2
    assert "error: " in capsys.readouterr().err


def test_a_word_without_equals_is_no_override(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["run", "gamma"]) == 2
    assert "valid: key=value" in capsys.readouterr().err


def test_run_refuses_several_values(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["run", *tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4")]) == 2
    assert "use sweep" in capsys.readouterr().err


def test_read_only_results_exit_2(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    overrides = tiny_overrides(tiny_zoo, tmp_path, f"results_dir={tmp_path / 'file'}")
    assert cli.execute(["sweep", *overrides]) == 2
    assert "cannot write results" in capsys.readouterr().err


def test_cfg_shows_the_configuration_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["sweep", "gamma=7", "--cfg", "job"]) == 0
    assert "gamma: 7" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert cli.execute(["sweep", "gamma=2,4", "--cfg", "job"]) == 2


def test_list_and_doctor_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["list"]) == 0
    assert "semi_ar_depth1" in capsys.readouterr().out
    assert cli.execute(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out


def test_exit_codes_of_interrupts_bugs_and_failed_points(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["run", *tiny_overrides(tiny_zoo, tmp_path)]
    monkeypatch.setattr(task_module, "run_block", _raise(KeyboardInterrupt()))
    assert cli.execute(arguments) == 130
    monkeypatch.setattr(task_module, "run_block", _raise(RuntimeError("broken")))
    assert cli.execute(arguments) == 4
    assert "broken" in capsys.readouterr().err
    monkeypatch.setattr(sweep_plan, "plan_sweep", _raise(RuntimeError("bug")))
    assert cli.execute(arguments) == 70
    assert "please report it" in capsys.readouterr().err


def test_a_sweep_as_typed_and_its_figures(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a process of its own: tests/commands/test_hub_names.py."""
    assert cli.execute(["sweep", *tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4")]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "speedup S over the paired baseline" in shown.out
    assert cli.execute(["plot", str(tmp_path / "results"), "--format", "svg"]) == 0
    figures = tmp_path / "results" / "figures"
    assert (figures / "s_curve.svg").stat().st_size > 0
    folder = tmp_path / "results" / "tiny"
    for kind, columns in (
        ("s_curve", ("gamma", "speedup", "speedup_ci_low", "speedup_theory", "n_requests")),
        ("gap", ("gap_truncation", "gap_non_iid", "gap_verify_cost", "gap_overhead")),
        ("draft_length", ("accepted_length", "cycle_s", "cycle_s_ci_high")),
        ("cycle_breakdown", ("t_draft_s", "t_verify_s", "baseline_step_s_ci_low")),
        ("table1", ("accepted_length", "accepted_length_ci_high")),
    ):
        data = pd.read_csv(figures / f"{kind}.csv", dtype={"point_id": str})
        assert_from_summary(data, folder, *columns)
    names = {path.name for path in figures.glob("*.csv")}
    assert {"acceptance_by_position.csv", "reliability.csv"} <= names


def test_killed_in_the_middle_the_same_command_finishes_the_rest(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    overrides = tiny_overrides(
        tiny_zoo, tmp_path, "gamma=1,2,3,4", "measure.calibration_requests=1"
    )
    folder = tmp_path / "results" / "tiny"
    running = start_fork(["sweep", *overrides], tmp_path / "output", Setting())
    deadline = time.monotonic() + 120
    while not _finished(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    kept = {path.parent.name: path.stat().st_mtime_ns for path in _finished(folder)}
    assert 1 <= len(kept) < 4
    assert cli.execute(["sweep", *overrides]) == 0
    assert len(_finished(folder)) == 4
    assert {row["status"] for row in read_summary(folder)} == {"finished"}
    states = json.loads((folder / "sweep.json").read_text())["points"]
    assert [state["status"] for state in states] == ["finished"] * 4
    for name, stamp in kept.items():
        assert (folder / "points" / name / "metrics.json").stat().st_mtime_ns == stamp
    assert not list(folder.glob("points/.aside*"))


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("points/[!.]*/metrics.json"))


def _raise(error: BaseException) -> object:
    def call(*_: object) -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sweep", "gamma=2"], "goes on from here"),
        (["--config-dir", "x"], "starts from the beginning"),
        (["report", "results"], "starts from the beginning"),
    ],
)
def test_an_interrupted_command_says_what_is_kept(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "app", interrupt)
    assert cli.execute(arguments) == 130
    assert capsys.readouterr().err == f"interrupted; the same command {said}\n"
