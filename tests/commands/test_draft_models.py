"""`drafter=layer_skip` and `drafter=draft_model` as typed: measured, refused, inspected."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from dspark_bench.cli import execute
from dspark_bench.models.checkpoint import read_tensors, write_checkpoint
from tests import tiny_models
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo


def typed(zoo: TinyZoo, folder: Path, verb: str, *more: str) -> int:
    given = [o for o in tiny_overrides(zoo, folder) if not o.startswith("drafter")]
    return execute([verb, *given, *more])


def test_layer_skip_is_swept_by_its_number_of_layers(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    swept = ("drafter=layer_skip", "drafter.layers=1,4,[0,3]", "temperature=0")
    assert typed(tiny_zoo, tmp_path, "sweep", *swept, "gamma=3") == 0
    rows = {r["drafter.layers"]: r for r in read_summary(tmp_path / "results" / "tiny")}
    assert len(rows) == 3
    for row in rows.values():
        assert (row["status"], row["lossless"]) == ("finished", "true")
        assert row["lossless_evidence"] == "exact"
        assert row["drafter_hash"] == row["gamma_trained"] == ""
    assert float(rows["4"]["alpha"]) == 1.0


def test_a_target_drafts_for_itself(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    given = ("drafter=draft_model", f"drafter.path={tiny_zoo.target}", "temperature=0")
    assert typed(tiny_zoo, tmp_path, "run", *given, "gamma=3", "load.concurrency=2") == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["lossless_evidence"], row["alpha"]) == ("exact", "1.0")
    assert row["drafter_hash"] == row["target_hash"]
    assert (row["drafter_class"], row["drafter_layers"]) == ("draft_model", str(tiny_models.LAYERS))


@pytest.mark.parametrize("drafter", ["layer_skip", "draft_model"])
@pytest.mark.parametrize(
    "more",
    [
        ("acceptance=replay",),
        ("scheduler=oracle", "cost=flat", "load.concurrency=2", "engine.prefill_tokens=4"),
    ],
    ids=lambda more: more[0],
)
def test_they_run_under(
    tiny_zoo: TinyZoo, tmp_path: Path, drafter: str, more: tuple[str, ...]
) -> None:
    path = (f"drafter.path={tiny_zoo.target}",) if drafter == "draft_model" else ()
    few = ("measure.agreement_requests=0", f"drafter={drafter}", *path)
    assert typed(tiny_zoo, tmp_path, "run", "gamma=3", *few, *more) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert row["status"] == "finished"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("drafter=layer_skip", "drafter.layers=0"), "drafter.layers is 0; valid: a number of"),
        (("drafter=layer_skip", "drafter.layers=[3,1]"), "drafter.layers is [3, 1]; valid"),
        (("drafter=layer_skip", "drafter.path=x"), "drafter=layer_skip has no key 'path'"),
        (("drafter=layer_skip", "tree=best_first"), "drafter=layer_skip drafts chains only"),
        (("drafter=draft_model",), "drafter=draft_model has no checkpoint for the target"),
        (("drafter=draft_model", "drafter.path=SEMI"), "a DSpark drafter, no whole decoder"),
        (("drafter=draft_model", "drafter.path=OTHER"), "vocab_size 300, its target 320"),
        (
            ("drafter=draft_model", "drafter.path=TARGET", "tree=best_first"),
            "drafter=draft_model drafts chains only",
        ),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_runs(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    more: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_models.write_target(tmp_path / "other", vocab_size=300)
    places = {"SEMI": tiny_zoo.semi_ar, "OTHER": tmp_path / "other", "TARGET": tiny_zoo.target}
    given = list(more)
    for name, path in places.items():
        given = [one.replace(f"path={name}", f"path={path}") for one in given]
    assert typed(tiny_zoo, tmp_path, "run", *given, "--dry-run") == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_layers_beyond_the_targets_are_refused(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tiny_zoo, tmp_path, "run", "drafter=layer_skip", "drafter.layers=5") != 0
    said = capsys.readouterr()
    assert "drafter.layers is 5; valid for this target: 1 to 4" in said.err + said.out


def told(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    assert execute(["inspect", *map(str, words)]) == code
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def test_inspect_says_that_a_model_can_draft(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tiny_zoo.target
    text = told(capsys, target, "--target", target)
    assert f"or beside a larger one drafter=draft_model drafter.path={target}" in text
    assert "with that target it fits" in text
    tiny_models.write_target(tmp_path / "other", vocab_size=300)
    text = told(capsys, tmp_path / "other", "--target", target, code=2)
    assert "with that target it does not fit" in text and "they must be equal" in text


def test_inspect_knows_a_decoder_without_an_embedding(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = Path(shutil.copytree(tiny_zoo.target, tmp_path / "bare"))
    tensors = dict(read_tensors(bare, torch.float32, torch.device("cpu")))
    del tensors["model.embed_tokens.weight"]
    write_checkpoint(bare, tensors, torch.float32)
    text = told(capsys, bare, "--target", tiny_zoo.target)
    for part in (
        "kind draft model",
        "a decoder without an embedding: it takes its target's, and its head",
        f"run as drafter=draft_model drafter.path={bare}",
        "layers 4 of width 32",
        "missing nothing",
        "fits targets of 320 tokens and width 32",
        "with that target it fits",
    ):
        assert part in text, part
    assert typed(tiny_zoo, tmp_path, "run", "drafter=draft_model", f"drafter.path={bare}") == 0
    config = json.loads((bare / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    assert "missing model.layers.4." in told(capsys, bare, code=2)
