"""A grown target computes what the shallow one did; stages resume and skip what is finished."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM

from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.target_growth import grow_target, source_layers
from dspark_bench.training.target_recipe import TargetRecipe, build_target
from dspark_bench.training.target_stages import StagedJob, train_in_stages
from dspark_bench.training.target_trainer import TargetJob, train_target


def deeper(recipe: TargetRecipe, layers: int) -> TargetRecipe:
    return replace(recipe, shape=replace(recipe.shape, num_hidden_layers=layers), seed=9)


def test_layers_are_put_in_evenly() -> None:
    assert source_layers(2, 4) == ((0, False), (0, True), (1, False), (1, True))
    assert source_layers(3, 4) == ((0, False), (0, True), (1, False), (2, False))
    assert source_layers(3, 3) == ((0, False), (1, False), (2, False))
    with pytest.raises(ValueError, match="3 layers cannot grow to 2"):
        source_layers(3, 2)


def test_growing_changes_no_logit(tiny_recipe: TargetRecipe, tmp_path: Path) -> None:
    shallow = build_target(tiny_recipe)
    shallow.save_pretrained(tmp_path)
    grown = grow_target(tmp_path, deeper(tiny_recipe, 5))
    tokens = torch.arange(1, 25).view(2, 12)
    with torch.no_grad():
        assert torch.equal(grown(tokens).logits, shallow(tokens).logits)
    assert len(grown.model.layers) == 5


def test_another_width_cannot_be_grown_from(tiny_recipe: TargetRecipe, tmp_path: Path) -> None:
    build_target(tiny_recipe).save_pretrained(tmp_path)
    wider = replace(tiny_recipe, shape=replace(tiny_recipe.shape, hidden_size=64))
    with pytest.raises(ValueError, match="hidden_size is 32, the recipe wants 64"):
        grow_target(tmp_path, wider)


@pytest.mark.slow
def test_the_manifest_keeps_the_shallow_targets_history(
    tiny_recipe: TargetRecipe, tiny_data: PreparedData, tmp_path: Path
) -> None:
    job = TargetJob(
        tmp_path / "a",
        tmp_path / "shallow",
        tiny_recipe,
        num_steps=2,
        is_compiled=False,
        data=tiny_data.folder,
    )
    train_target(job, Console(file=io.StringIO()))
    grown = replace(
        job,
        work=tmp_path / "b",
        out=tmp_path / "deep",
        recipe=deeper(tiny_recipe, 3),
        grow_from=job.out,
    )
    train_target(grown, Console(file=io.StringIO()))
    manifest = json.loads((grown.out / "manifest.json").read_text())
    assert manifest["grown_from"]["num_steps"] == 2
    assert manifest["grown_from"]["recipe"]["shape"]["num_hidden_layers"] == 2
    assert AutoModelForCausalLM.from_pretrained(grown.out).config.num_hidden_layers == 3


def test_finished_stages_are_skipped(
    tiny_recipe: TargetRecipe, tiny_data: PreparedData, tmp_path: Path
) -> None:
    """A shallow stage that is finished is grown from as it is; a finished target is left alone."""
    work, out = tmp_path / "work", tmp_path / "out"
    (work / "shallow_target").mkdir(parents=True)
    (work / "data").symlink_to(tiny_data.folder, target_is_directory=True)
    build_target(tiny_recipe).save_pretrained(work / "shallow_target")
    (work / "shallow_target" / "manifest.json").write_text('{"num_steps": 77}')
    job = StagedJob(work, out, 0.001, tiny_recipe, deeper(tiny_recipe, 3), is_compiled=False)
    train_in_stages(job, Console(file=io.StringIO()))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["grown_from"]["num_steps"] == 77
    assert not (work / "shallow").exists()
    before = (out / "model.safetensors").stat().st_mtime_ns
    train_in_stages(job, Console(file=io.StringIO()))
    assert (out / "model.safetensors").stat().st_mtime_ns == before
