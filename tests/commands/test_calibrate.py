"""`dspark-bench calibrate` as typed, on tiny checkpoints, and who may use what it writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dspark_bench import cli
from dspark_bench.commands import calibrate as calibrate_module
from dspark_bench.commands.calibrate import Fit, brier, split_by_prompt, worse_line
from dspark_bench.commands.sweep_plan import plan_sweep
from dspark_bench.core.types import Request
from dspark_bench.measure.identity import HashCache
from dspark_bench.metrics.calibration import Trials
from dspark_bench.workloads.jsonl import JsonlWorkload
from dspark_bench.workloads.prompt import Prompt
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo, write_prompts

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def zoo(tiny_zoo: TinyZoo, tmp_path: Path) -> TinyZoo:
    """The tiny checkpoints, with a drafter's folder of this test's own."""
    own = tmp_path / "semi_ar"
    shutil.copytree(tiny_zoo.semi_ar, own)
    write_prompts(tmp_path / "prompts.jsonl", [f"Question: {n} words" for n in range(60)])
    return TinyZoo(tiny_zoo.target, own, tiny_zoo.parallel, tiny_zoo.ar)


@pytest.fixture(scope="module")
def fitted(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `calibrate` writes for gamma=2."""
    folder = tmp_path_factory.mktemp("fitted")
    write_prompts(folder / "prompts.jsonl", [f"Question: {n} words" for n in range(60)])
    path = folder / "calibration.json"
    assert _calibrate(tiny_zoo, folder, "gamma=2", f"calibrator.path={path}") == 0
    return path.read_text()


def _calibrate(zoo: TinyZoo, folder: Path, *more: str) -> int:
    overrides = [o for o in tiny_overrides(zoo, folder) if "calibration_requests" not in o]
    return cli.execute(["calibrate", *overrides, "max_new_tokens=24", *more])


def _metrics(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("results/tiny/points/*/metrics.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _entries(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["calibrations"]
    return found


def test_calibrate_as_typed_writes_what_a_sweep_then_uses(
    zoo: TinyZoo, tmp_path: Path, capsys: Capture
) -> None:
    assert _calibrate(zoo, tmp_path) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "ECE %" in shown.out and "before" in shown.out and "written: " in shown.out
    (entry,) = _entries(zoo.semi_ar / "calibration.json")
    assert len(entry["temperatures"]) == entry["gamma"] == 16, "all that the checkpoint can draft"
    assert entry["sampling"] == {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    assert entry["num_prompts"] == 12
    first = entry["held_out"][0]
    assert first["before"]["n"] == first["after"]["n"] > 0
    assert sum(first["after"]["reliability"]["counts"]) == first["after"]["n"]
    assert not list(zoo.semi_ar.glob("*aside*"))

    assert cli.execute(["run", *tiny_overrides(zoo, tmp_path, "gamma=3")]) == 0
    metrics = _metrics(tmp_path)
    assert not [note for note in metrics["notes"] if "calibrated" in note]
    for when in ("before", "after"):
        scores = metrics["calibration"][when]
        assert sorted(scores) == ["auc", "brier", "ece", "n"]
        assert len(scores["ece"]) == 3
        assert scores["n"][0] > 0
    (path,) = tmp_path.glob("results/tiny/points/*/cycles.parquet")
    cycles = pd.read_parquet(path)
    assert cycles["calibrated"].map(len).equals(cycles["confidence"].map(len))


def test_samplings_stand_side_by_side_and_are_replaced_one_by_one(
    zoo: TinyZoo, fitted: str, tmp_path: Path
) -> None:
    path = zoo.semi_ar / "calibration.json"
    path.write_text(fitted)
    for temperature in ("0", "1"):
        assert _calibrate(zoo, tmp_path, f"temperature={temperature}", "gamma=2") == 0
    assert [entry["sampling"]["temperature"] for entry in _entries(path)] == [0.0, 1.0]
    assert {len(entry["temperatures"]) for entry in _entries(path)} == {2}


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (("temperature=0.5",), "made for temperature=1.0"),
        (("gamma=3",), "calibrated up to position 2 of 3"),
    ],
)
def test_what_was_not_calibrated_is_noted(
    zoo: TinyZoo, fitted: str, tmp_path: Path, given: tuple[str, ...], note: str
) -> None:
    (zoo.semi_ar / "calibration.json").write_text(fitted)
    assert cli.execute(["run", *tiny_overrides(zoo, tmp_path, *given)]) == 0
    assert note in " ".join(_metrics(tmp_path)["notes"])


def test_without_a_file_confidences_stay_and_the_point_says_so(
    zoo: TinyZoo, tmp_path: Path
) -> None:
    assert cli.execute(["run", *tiny_overrides(zoo, tmp_path, "gamma=2")]) == 0
    metrics = _metrics(tmp_path)
    assert "not calibrated: the drafter's folder holds no calibration.json" in metrics["notes"]
    assert metrics["calibration"]["before"] == metrics["calibration"]["after"]


def test_other_weights_are_not_served_by_an_old_calibration(
    zoo: TinyZoo, fitted: str, tmp_path: Path
) -> None:
    path = zoo.semi_ar / "calibration.json"
    content = json.loads(fitted)
    content["calibrations"][0]["drafter_hash"] = "0" * 16
    path.write_text(json.dumps(content))
    assert cli.execute(["run", *tiny_overrides(zoo, tmp_path, "gamma=2")]) == 0
    assert (
        "not calibrated: calibration.json was made for other weights"
        in (_metrics(tmp_path)["notes"])
    )
    assert _calibrate(zoo, tmp_path, "gamma=2") == 0
    assert len(_entries(path)) == 1, "entries of earlier weights go"


def test_the_calibration_is_part_of_a_points_identity(
    zoo: TinyZoo, fitted: str, tmp_path: Path
) -> None:
    def point_id(*more: str) -> str:
        _, points = plan_sweep(tiny_overrides(zoo, tmp_path, "gamma=2", *more), HashCache())
        return points[0].identity.point_id

    path = zoo.semi_ar / "calibration.json"
    plain, without = point_id(), point_id("calibrator=none")
    assert plain != without
    path.write_text(fitted)
    calibrated = point_id()
    assert calibrated != plain
    moved = path.rename(tmp_path / "elsewhere.json")
    assert point_id(f"calibrator.path={moved}") == calibrated, "its place does not matter"
    path.write_text("{")
    assert point_id("calibrator=none") == without, "none reads no file"


def test_online_runs_and_is_scored_on_what_it_knew(zoo: TinyZoo, tmp_path: Path) -> None:
    arguments = tiny_overrides(zoo, tmp_path, "gamma=2", "calibrator=online")
    assert cli.execute(["run", *arguments, "calibrator.refit_cycles=1"]) == 0
    scores = _metrics(tmp_path)["calibration"]
    assert scores["before"]["brier"] != scores["after"]["brier"]
    assert cli.execute(["run", *arguments, "calibrator.damping=-1"]) == 2


def test_a_file_elsewhere_is_written_and_read_by_one_key(
    zoo: TinyZoo, tmp_path: Path, capsys: Capture
) -> None:
    key = f"calibrator.path={tmp_path / 'deep' / 'mine.json'}"
    assert cli.execute(["run", *tiny_overrides(zoo, tmp_path, "gamma=2", key)]) == 2
    assert "no such file" in capsys.readouterr().err
    assert _calibrate(zoo, tmp_path, "gamma=2", key) == 0
    assert not (zoo.semi_ar / "calibration.json").exists()
    assert cli.execute(["run", *tiny_overrides(zoo, tmp_path, "gamma=2", key)]) == 0
    assert not [note for note in _metrics(tmp_path)["notes"] if "calibrated" in note]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema_version": 1}',
        '{"schema_version": 99, "calibrations": []}',
        '{"schema_version": 1, "calibrations": [{"temperatures": [1]}]}',
        '{"schema_version": 1, "calibrations": [{"sampling": {}, "target_hash": "a", '
        '"drafter_hash": "b", "temperatures": [0]}]}',
        '{"schema_version": 1, "calibrations": [{"sampling": {}, "target_hash": "a", '
        '"drafter_hash": "b", "temperatures": []}]}',
    ],
)
def test_a_damaged_file_is_one_line(
    zoo: TinyZoo, tmp_path: Path, text: str, capsys: Capture
) -> None:
    (zoo.semi_ar / "calibration.json").write_text(text)
    run = ["run", *tiny_overrides(zoo, tmp_path, "gamma=2")]
    for command in (lambda: cli.execute(run), lambda: _calibrate(zoo, tmp_path)):
        assert command() == 2
        shown = capsys.readouterr()
        assert shown.err.startswith("error: ") and shown.err.count("\n") == 1
        assert "calibration.json" in shown.err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("gamma=2,4",), "gamma has several values"),
        (("gamma=99",), "valid for drafter=semi_ar: 1 to 16"),
        (("calibrator=none",), "valid: calibrator=checkpoint"),
        (("measure.calibration_requests=13",), "valid: 1 to 12"),
        (("measure.calibration_requests=1",), "valid: 2 or more"),
        (("measure.calibration_requests=0",), "valid: 2 or more"),
    ],
)
def test_mistakes_exit_2_with_one_line(
    zoo: TinyZoo, tmp_path: Path, given: tuple[str, ...], message: str, capsys: Capture
) -> None:
    assert _calibrate(zoo, tmp_path, *given) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert not (zoo.semi_ar / "calibration.json").exists()


def test_a_stand_in_is_calibrated_like_a_head(
    zoo: TinyZoo, tmp_path: Path, capsys: Capture
) -> None:
    paths = (f"drafter.path={zoo.parallel}", f"calibrator.path={tmp_path / 'c.json'}")
    kept = [o for o in tiny_overrides(zoo, tmp_path) if not o.startswith("drafter")]
    assert cli.execute(["calibrate", *kept, "drafter=parallel", *paths]) == 0
    assert "ECE" in capsys.readouterr().out
    [entry] = json.loads((tmp_path / "c.json").read_text())["calibrations"]
    assert all(value > 0 for value in entry["temperatures"])


def test_a_drafter_of_any_depth_is_calibrated_as_deep_as_it_is_run(
    zoo: TinyZoo, tmp_path: Path
) -> None:
    kept = [o for o in tiny_overrides(zoo, tmp_path) if not o.startswith(("drafter", "gamma"))]
    path = f"calibrator.path={tmp_path / 'c.json'}"
    assert cli.execute(["calibrate", *kept, "drafter=layer_skip", path]) == 0
    [entry] = json.loads((tmp_path / "c.json").read_text())["calibrations"]
    assert len(entry["temperatures"]) == 4


def test_drafter_none_has_nothing_to_calibrate(
    zoo: TinyZoo, tmp_path: Path, capsys: Capture
) -> None:
    kept = [o for o in tiny_overrides(zoo, tmp_path) if not o.startswith("drafter")]
    assert cli.execute(["calibrate", *kept, "drafter=none"]) == 2
    assert "nothing to calibrate" in capsys.readouterr().err


def test_an_unwritable_place_is_found_before_anything_runs(
    zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(calibrate_module, "fit_calibration", _unreachable)
    (tmp_path / "file").write_text("")
    assert _calibrate(zoo, tmp_path, f"calibrator.path={tmp_path / 'file' / 'c.json'}") == 2
    assert "name another file with calibrator.path=FILE" in capsys.readouterr().err


def test_test_prompts_are_never_read(
    zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = JsonlWorkload.prompts

    def watched(self: JsonlWorkload, split: Any, num_prompts: int, seed: int) -> list[Prompt]:
        asked.append(split)
        return original(self, split, num_prompts, seed)

    monkeypatch.setattr(JsonlWorkload, "prompts", watched)
    assert _calibrate(zoo, tmp_path, "gamma=2") == 0
    assert set(asked) == {"calibration"}


def test_a_calibration_that_made_things_worse_says_so() -> None:
    """Half of the drafts are accepted, which a confidence of 0.5 says exactly."""
    accepted = np.array([0, 1] * 50)
    trials = Trials(np.full((100, 1), 0.5), np.ones(100, dtype=np.int64), accepted)
    assert worse_line(Fit((1.0,), trials, trials)) is None
    sure = Trials(np.full((100, 1), 0.9), trials.verify_len, accepted)
    assert worse_line(Fit((50.0,), trials, sure)) is None  # towards 0.5
    worse = worse_line(Fit((0.1,), trials, sure))
    assert worse is not None and "made things worse on held-out prompts" in worse
    assert "0.4100 before, 0.5000 after" in worse


def test_positions_count_by_how_often_they_were_reached() -> None:
    """100 first positions, forecast at 0.5, and 10 second ones, at 0.45 of which none stood."""
    confidence = np.tile([0.5, 0.9], (100, 1))
    verify_len, accepted = np.array([1] * 90 + [2] * 10), np.array([0, 1] * 45 + [1] * 10)
    trials = Trials(confidence, verify_len, accepted)
    (first, second) = [score for score in trials.scores() if score.n]
    assert (first.n, second.n) == (100, 10) and second.brier == pytest.approx(0.45**2)
    assert brier(trials) == pytest.approx((100 * 0.25 + 10 * 0.45**2) / 110)


def test_a_worse_calibration_is_written_with_a_warning(
    zoo: TinyZoo, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate_module, "worse_line", lambda fit: "it is worse")
    assert _calibrate(zoo, tmp_path) == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    assert "warning: it is worse; delete " in shown
    assert _entries(zoo.semi_ar / "calibration.json")


def test_halves_share_no_prompt_and_every_domain_is_in_both() -> None:
    requests = [Request(i, str(i), "abc"[i % 3], (1,), 8) for i in range(11)]
    fitted, held_out = split_by_prompt(requests)
    assert not fitted & held_out
    assert fitted | held_out == set(range(11))
    for half in (fitted, held_out):
        assert {requests[i].domain for i in half} == {"a", "b", "c"}


def _unreachable(*_: object) -> None:
    raise AssertionError("decoded before the place was checked")
