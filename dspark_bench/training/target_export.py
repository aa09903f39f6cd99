"""Writes a trained target as a standard Hugging Face directory with its manifest.

The manifest names no path and no host, so that the folder can be shipped as it is.
Called by `target_trainer`.
"""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import GenerationConfig, Qwen3ForCausalLM

from dspark_bench.training.packing import DOMAIN_WEIGHTS
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.target_evaluation import TargetEvaluation
from dspark_bench.training.target_recipe import TargetRecipe
from dspark_bench.training.tokenizer import EOS_TOKEN_ID, MASK_TOKEN_ID
from dspark_bench.training.train_loop import Plan

MANIFEST_SCHEMA = 1
_HISTORY = ("num_parameters", "recipe", "num_steps", "num_tokens", "minutes", "evaluation")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Measurements:
    """What a finished run took and reached."""

    num_steps: int
    num_tokens: int
    minutes: float
    evaluation: TargetEvaluation


def write_target(
    model: Qwen3ForCausalLM,
    recipe: TargetRecipe,
    plan: Plan,
    data: PreparedData,
    measurements: Measurements,
    out: Path,
    grown_from: Path | None = None,
) -> None:
    """Write config, bf16 weights, generation config, tokenizer files and manifest into `out`.

    grown_from: the shallower target that training started from, whose history the manifest keeps.
    The model handed in stays in fp32.
    """
    out.mkdir(parents=True, exist_ok=True)
    shipped = copy.deepcopy(model).bfloat16()
    shipped.config.name_or_path = ""
    shipped.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=EOS_TOKEN_ID, pad_token_id=EOS_TOKEN_ID
    )
    shipped.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    _name_old_config_keys(out / "config.json", recipe)
    for name in _TOKENIZER_FILES:
        shutil.copyfile(data.tokenizer_folder / name, out / name)
    manifest = build_manifest(model, recipe, plan, data, measurements)
    if grown_from is not None:
        before = json.loads((grown_from / "manifest.json").read_text())
        manifest["grown_from"] = {name: before.get(name) for name in _HISTORY}
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _name_old_config_keys(path: Path, recipe: TargetRecipe) -> None:
    """Add the keys by which readers older than transformers 5 find rotary base and dtype."""
    config = json.loads(path.read_text())
    config |= {"rope_theta": recipe.shape.rope_theta, "torch_dtype": "bfloat16"}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def build_manifest(
    model: Qwen3ForCausalLM,
    recipe: TargetRecipe,
    plan: Plan,
    data: PreparedData,
    measurements: Measurements,
) -> dict[str, Any]:
    """The manifest as plain values."""
    return {
        "schema": MANIFEST_SCHEMA,
        "kind": "target",
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "recipe": asdict(recipe),
        "plan": asdict(plan),
        "seed": recipe.seed,
        "num_steps": measurements.num_steps,
        "num_tokens": measurements.num_tokens,
        "minutes": round(measurements.minutes, 2),
        "domain_weights": dict(DOMAIN_WEIGHTS),
        "eos_token_id": EOS_TOKEN_ID,
        "mask_token_id": MASK_TOKEN_ID,
        "corpus": data.summary(),
        "evaluation": asdict(measurements.evaluation),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
