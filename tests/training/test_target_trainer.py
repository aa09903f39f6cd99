"""Training a tiny target: the schedule, an exact resume, and what the output folder holds."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3ForCausalLM

from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.target_evaluation import parses_up_to_cut
from dspark_bench.training.target_recipe import TargetRecipe, build_target, learning_rate
from dspark_bench.training.target_trainer import TargetJob, run_training, train_target
from dspark_bench.training.train_loop import (
    Plan,
    TrainState,
    load_or_start,
    load_plan,
    save_checkpoint,
    save_plan,
)


def _console() -> Console:
    return Console(file=io.StringIO())


def _job(work: Path, recipe: TargetRecipe, num_steps: int = 3) -> TargetJob:
    return TargetJob(work, work / "out", recipe, num_steps=num_steps, is_compiled=False)


def _weights(state: TrainState) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in state.model.state_dict().values()]


def test_learning_rate_rises_then_falls() -> None:
    recipe = TargetRecipe(peak_lr=1.0, warmup_share=0.1, final_lr_share=0.1)
    rates = [learning_rate(recipe, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_resumed_run_equals_uninterrupted_run(
    tiny_data: PreparedData,
    tiny_recipe: TargetRecipe,
    tiny_work: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole, _ = run_training(_job(tiny_work, tiny_recipe), tiny_data, _console())
    other = tmp_path_factory.mktemp("interrupted")
    run_training(_job(other, tiny_recipe, num_steps=1), tiny_data, _console())
    started = torch.load(other / "checkpoint.pt", weights_only=True)
    assert started["step"] == 1
    save_plan(replace(_plan_of(other), num_steps=3), other / "plan.json")
    resumed, plan = run_training(_job(other, tiny_recipe), tiny_data, _console())
    assert (resumed.step, plan.num_steps) == (3, 3)
    pairs = zip(_weights(whole), _weights(resumed), strict=True)
    # The first step ran at its own schedule's rate, which warm-up makes the same for both.
    assert all(torch.equal(left, right) for left, right in pairs)


def _plan_of(work: Path) -> Plan:
    plan = load_plan(work / "plan.json")
    assert plan is not None
    return plan


def test_checkpoint_round_trip(tiny_recipe: TargetRecipe, tmp_path: Path) -> None:
    state = load_or_start(build_target(tiny_recipe), tiny_recipe, tmp_path / "absent.pt")
    state.step, state.seconds = 5, 2.5
    save_checkpoint(state, tmp_path / "checkpoint.pt")
    fresh = build_target(replace(tiny_recipe, seed=1))
    loaded = load_or_start(fresh, tiny_recipe, tmp_path / "checkpoint.pt")
    assert (loaded.step, loaded.seconds) == (5, 2.5)
    assert all(
        torch.equal(left, right)
        for left, right in zip(_weights(state), _weights(loaded), strict=True)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_output_is_a_standard_directory(tiny_recipe: TargetRecipe, tiny_work: Path) -> None:
    out = train_target(_job(tiny_work, tiny_recipe), _console())
    model = AutoModelForCausalLM.from_pretrained(out)
    assert isinstance(model, Qwen3ForCausalLM) and model.dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(out).eos_token_id == model.config.eos_token_id == 0
    assert json.loads((out / "config.json").read_text())["rope_theta"] == 10_000.0
    text = (out / "manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["num_tokens"] == 3 * tiny_recipe.tokens_per_step
    assert set(manifest["evaluation"]["loss"]) == {"math", "code", "prose"}
    assert str(tiny_work) not in text and "/work" not in text


def test_length_is_set_exactly_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        TargetJob(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="exactly one"):
        TargetJob(tmp_path, tmp_path, num_steps=1, max_minutes=1.0)


@pytest.mark.parametrize(
    ("source", "is_good"),
    [
        ("x = 1\ny = (2 +", True),
        ("def f():\n    return 1\n\n\ndef g(", True),
        ("x = = 1\n\n\n\n\ny = 2", False),
    ],
)
def test_parsing_up_to_the_cut(source: str, is_good: bool) -> None:
    assert parses_up_to_cut(source) is is_good
