"""The embedded zoo: complete, within its budget, readable by transformers, lossless when greedy."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from dspark_bench.config.compose import conf_dir
from dspark_bench.config.plugin_fit import find_class
from dspark_bench.config.point_config import ZOO
from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import CONFIDENCE_HEAD, Request
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.checkpoint import content_hash, read_tokenizer
from dspark_bench.models.config_values import read_json
from dspark_bench.models.target import TargetModel
from dspark_bench.training_runs.architectures import ARCHITECTURES
from dspark_bench.workloads.zoo_prompts import DOMAINS, zoo_prompts
from tests import tiny

BUDGET_BYTES = 72 * 10**6
REAL = ZOO / "drafters" / "smollm2"
REAL_BUDGET_BYTES = 64 * 10**6
"""Of drafters for a real model."""
FILE_BUDGET_BYTES = 48 * 10**6
DRAFTERS = tuple(name for name in ARCHITECTURES if (ZOO / "drafters" / name).is_dir())
NUM_HEADS = {"medusa": 8, "hydra": 4}
"""Of drafters whose longest draft is what they have heads for."""
OF_ANY_LENGTH = ("eagle", "draft_model")
"""Drafters whose files name no longest draft."""
MAX_GAMMA = 16
BY_CONFIDENCE_HEAD = ("parallel", "semi_ar", "ar")
"""What drafters that are trained with a confidence head are called, or begin with."""


@pytest.fixture(scope="module")
def target() -> TargetModel:
    return TargetModel.load(ZOO / "target", torch.float32, tiny.CPU)


def load(name: str, target: TargetModel) -> Drafter:
    """By the class that its YAML names."""
    text = (conf_dir() / "drafter" / f"{name}.yaml").read_text(encoding="utf-8")
    drafter: Drafter = find_class(yaml.safe_load(text)["_target_"])(ZOO / "drafters" / name, target)
    return drafter


def manifest_of(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((ZOO / "drafters" / name / "manifest.json").read_text())
    return manifest


def test_weights_stay_within_the_budget_and_are_safetensors_only() -> None:
    files = [path for path in ZOO.rglob("*") if path.is_file()]
    real = [path for path in files if path.is_relative_to(REAL)]
    own = [path for path in files if path not in real]
    assert sum(path.suffix == ".safetensors" for path in own) == 1 + len(DRAFTERS)
    assert sum(path.stat().st_size for path in own) <= BUDGET_BYTES
    assert sum(path.stat().st_size for path in real) <= REAL_BUDGET_BYTES
    assert max(path.stat().st_size for path in files) <= FILE_BUDGET_BYTES
    assert {path.suffix for path in files} <= {".json", ".jsonl", ".safetensors"}


@pytest.mark.parametrize("name", DRAFTERS)
def test_drafters_belong_to_this_target_and_serve_every_gamma(
    name: str, target: TargetModel
) -> None:
    assert manifest_of(name)["target_hash"] == content_hash(ZOO / "target")
    spec = load(name, target).spec
    longest = None if name in OF_ANY_LENGTH else NUM_HEADS.get(name, MAX_GAMMA)
    assert spec.max_gamma == longest
    assert spec.has_confidence
    has_head = name.startswith(BY_CONFIDENCE_HEAD)
    assert (spec.confidence_kind == CONFIDENCE_HEAD) is has_head


def test_compared_drafters_were_trained_alike() -> None:
    manifests = {name: manifest_of(name) for name in DRAFTERS}
    alike = ("recipe", "seed", "batch_size", "window_tokens", "tokens_seen", "responses", "corpus")
    for key in (*alike, "response_share", "target_hash"):
        assert len({json.dumps(manifest[key]) for manifest in manifests.values()}) == 1, key
    for name, manifest in manifests.items():
        assert manifest["response_share"] >= 0.5
        assert name in manifest["trained_beside"]
    configs = [read_json(ZOO / "drafters" / name / "config.json") for name in DRAFTERS]
    layers = [{**config, **config.get("dflash_config", {})} for config in configs]
    read = {tuple(fields["target_layer_ids"]) for fields in layers if "target_layer_ids" in fields}
    assert len(read) == 1


def test_manifests_name_licences_and_no_place() -> None:
    for path in ZOO.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        assert manifest["corpus"]["sources"], path
        assert all(source["licence"] for source in manifest["corpus"]["sources"])
        assert str(Path.home()) not in path.read_text()


def test_prompts_are_distinct_and_tokenise() -> None:
    tokenizer = read_tokenizer(ZOO / "target")
    texts = []
    for domain in DOMAINS:
        for split, count in (("test", 200), ("calibration", 100)):
            prompts = zoo_prompts(domain, split)
            assert len(prompts) == count
            texts += [prompt.text for prompt in prompts]
    assert len(set(texts)) == len(texts)
    for text in texts[::50]:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_transformers_reads_the_target_and_agrees(target: TargetModel) -> None:
    model = AutoModelForCausalLM.from_pretrained(ZOO / "target", dtype=torch.float32).eval()
    text = zoo_prompts("code", "test")[0].text
    ids = torch.tensor(read_tokenizer(ZOO / "target").encode(text).ids)
    with torch.inference_mode():
        cache = target.new_cache(1, len(ids))
        plan = plan_attention([Span(0, 0, len(ids))], cache)
        ours = target.forward(ids, plan, cache).logits
        theirs = model(ids.unsqueeze(0)).logits[0]
    assert (ours - theirs).abs().max() < 1e-4


def zoo_requests(count: int) -> list[Request]:
    tokenizer = read_tokenizer(ZOO / "target")
    prompts = [prompt for domain in DOMAINS for prompt in zoo_prompts(domain, "test")[:count]]
    return [
        Request(i, prompt.id, prompt.domain, tuple(tokenizer.encode(prompt.text).ids), 64)
        for i, prompt in enumerate(prompts)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAFTERS)
@pytest.mark.parametrize("gamma", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("concurrency", [1, 7])
def test_greedy_output_equals_the_baseline(
    name: str, gamma: int, concurrency: int, target: TargetModel
) -> None:
    requests = zoo_requests(3)
    settings = {"temperature": 0.0, "model": target, "max_len": 256}
    baseline = tiny.serve(requests, None, **settings)
    drafter, length = load(name, target), min(gamma, NUM_HEADS.get(name, MAX_GAMMA))
    drafted = tiny.serve(requests, drafter, length, concurrency, **settings)
    check = same_outputs_check("greedy", baseline, drafted)
    print(check.detail)
    assert check.is_passed, check.detail


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAFTERS)
def test_a_trained_drafter_is_worth_its_name(name: str, target: TargetModel) -> None:
    """tau near 1 would mean a misread checkpoint."""
    result = tiny.serve(zoo_requests(4), load(name, target), 4, 6, model=target, max_len=256)
    cycles = [cycle for cycle in result.cycles if not cycle.is_prefill]
    accepted_length = 1 + sum(cycle.num_accepted for cycle in cycles) / len(cycles)
    assert accepted_length > (1.2 if name == "medusa" else 1.6)  # Medusa's heads are blind
