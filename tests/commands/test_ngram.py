"""`drafter=ngram` as typed: measured, predicted, verified, and refused where it cannot work."""

import json
from pathlib import Path

import pytest

from dspark_bench.cli import execute
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo, write_prompts

PHRASE = "a tiny model reads words, counts tokens and answers in a line of text. "


def typed(zoo: TinyZoo, folder: Path, verb: str, *more: str) -> int:
    """Run a verb on prompts that repeat themselves."""
    write_prompts(folder / "prompts.jsonl", [f"{n} {PHRASE * 2}" for n in range(15)])
    given = [o for o in tiny_overrides(zoo, folder) if not o.startswith("drafter")]
    return execute([verb, *given, "drafter=ngram", "drafter.n_min=1", *more])


def test_a_sweep_measures_predicts_and_judges_it(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    code = typed(
        tiny_zoo, tmp_path, "sweep", "gamma=1,3", "max_new_tokens=24", "measure.law_tokens=256"
    )
    assert code == 0
    folder = tmp_path / "results" / "tiny"
    rows = read_summary(folder)
    assert {row["gamma"] for row in rows} == {"1", "3"}
    for row in rows:
        assert (row["status"], row["lossless"], row["drafter"]) == ("finished", "true", "ngram")
        assert row["drafter_hash"] == row["gamma_trained"] == ""
        assert row["falls_short"] == "true" and 0 < float(row["drafting_share"]) < 1
        assert float(row["speedup_model"]) > 0
        assert 1 < float(row["accepted_length"]) < 1 + int(row["gamma"])
        found = json.loads((folder / "points" / row["point_id"] / "metrics.json").read_text())
        agreement = found["positions"]["agreement"]
        assert len(agreement) == int(row["gamma"]) and all(0 <= value <= 1 for value in agreement)
        counts, cycles = found["position_counts"], found["counts"]["trial_cycles"]
        assert 0 < counts["verified"][0] < cycles
        assert found["model_inputs"]["survival"][0] < 1
    for verb in ("recommend", "export"):
        assert execute([verb, str(folder)]) == 0, verb


def test_greedy_output_is_exact(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    assert typed(tiny_zoo, tmp_path, "run", "temperature=0", "gamma=4") == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["lossless"], row["lossless_evidence"]) == ("true", "exact")


@pytest.mark.parametrize(
    "more",
    [
        ("acceptance=replay",),
        ("acceptance=forced", "acceptance.rates=0.7"),
        ("scheduler=goodput", "load.concurrency=2"),
        ("scheduler=batch_size", "scheduler.table=[[1,3],[2,1]]", "load.concurrency=2"),
        ("scheduler=oracle", "cost=flat", "load.concurrency=2"),
    ],
    ids=lambda more: more[0],
)
def test_it_runs_under(tiny_zoo: TinyZoo, tmp_path: Path, more: tuple[str, ...]) -> None:
    few = ("measure.agreement_requests=0", "max_new_tokens=12")
    assert typed(tiny_zoo, tmp_path, "run", "gamma=3", *few, *more) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert row["status"] == "finished"


def test_schedulers_that_read_confidences_read_its_history(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    few = ("measure.agreement_requests=0", "max_new_tokens=12", "gamma=3")
    assert typed(tiny_zoo, tmp_path, "run", "scheduler=threshold", *few) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["status"], row["confidence_kind"]) == ("finished", "history")


def test_a_step_of_every_width_is_profiled(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    assert typed(tiny_zoo, tmp_path, "profile", "gamma=3", "max_new_tokens=16") == 0
    (found,) = (tmp_path / "results" / ".costs").glob("*.json")
    surface = json.loads(found.read_text())["surface"]
    assert surface["widths"] == [0, 1, 2, 3]


def test_the_key_that_it_lacks_is_refused(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tiny_zoo, tmp_path, "run", "drafter.path=somewhere") == 2
    assert "drafter=ngram has no key 'path'" in capsys.readouterr().err
    assert typed(tiny_zoo, tmp_path, "run", "drafter.n_max=0", "--dry-run") == 2
    assert "drafter.n_max is 0; valid: n_min up to n_max" in capsys.readouterr().err


def test_it_has_no_folder_for_a_calibration(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tiny_zoo, tmp_path, "calibrate") == 2
    said = capsys.readouterr().err
    assert "with drafter=ngram has no file to write" in said
    assert "with calibrator.path=FILE if the drafter has no folder" in said
