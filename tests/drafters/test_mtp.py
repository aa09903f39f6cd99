"""Modules for multi-token prediction: each maker's meaning, against a plain forward pass."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.features import FINAL_NORM
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import SamplingParams
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.drafters.mtp import MtpDrafter
from dspark_bench.engine.emitted_law import emitted_law_check
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.models.draft_config import MTP
from dspark_bench.models.drafter_files import check_drafter_files, read_drafter_config
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.mtp_config import MtpConfig, mtp_features
from dspark_bench.trees.best_first import BestFirstTree
from tests import tiny
from tests.models.draft_formats import plain
from tests.models.draft_formats.scoring import features, probs_of, text
from tests.tiny_formats import (
    DEPTH,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    KV_HEADS,
    Rand,
    layer_config,
    llama,
    write,
)

DRAFTS = torch.tensor([5, 60, 3, 17])


@dataclass(frozen=True)
class Maker:
    """What field notes say of one: how its tensors are called, and what they mean."""

    prefix: str
    token_norm: str
    hidden_norm: str
    project: str
    final_norm: str
    layer: str
    hidden_first: bool
    feeds_normed: bool
    is_centred: bool = False
    has_own_head: bool = False
    has_biases: bool = False
    has_head_norms: bool = False


SPELT = ("token_layernorm", "hidden_layernorm", "input_proj", "final_layernorm", "")
MAKERS = {
    "deepseek": Maker(
        f"model.layers.{DEPTH}.",
        "enorm",
        "hnorm",
        "eh_proj",
        "shared_head.norm",
        "",
        hidden_first=False,
        feeds_normed=False,
        has_own_head=True,
    ),
    "mimo": Maker("model.mtp_layers.0.", *SPELT, True, True, has_biases=True),
    "qwen": Maker(
        "mtp.",
        "pre_fc_norm_embedding",
        "pre_fc_norm_hidden",
        "fc",
        "norm",
        "layers.0.",
        hidden_first=False,
        feeds_normed=True,
        is_centred=True,
        has_head_norms=True,
    ),
    "speculators": Maker("mtp_layers.0.", *SPELT, False, True, has_head_norms=True),
}


def tensors_of(name: str) -> dict[str, Tensor]:
    maker, make = MAKERS[name], Rand(11)
    prefix, layer = maker.prefix, f"{maker.prefix}{maker.layer}"
    parts = (maker.token_norm, maker.hidden_norm, maker.final_norm)
    tensors = {f"{prefix}{part}.weight": make.norm(HIDDEN) for part in parts}
    tensors[f"{prefix}{maker.project}.weight"] = make.matrix(HIDDEN, 2 * HIDDEN)
    tensors |= make.layer(layer, HIDDEN)
    if maker.has_head_norms:
        tensors |= {f"{layer}self_attn.{x}_norm.weight": make.norm(HEAD_DIM) for x in "qk"}
    if maker.has_biases:
        sizes = {"q": HEADS, "k": KV_HEADS, "v": KV_HEADS}
        tensors |= {
            f"{layer}self_attn.{x}_proj.bias": make.matrix(size * HEAD_DIM)
            for x, size in sizes.items()
        }
    if maker.has_own_head:
        tensors[f"{prefix}shared_head.head.weight"] = make.matrix(tiny.VOCAB, HIDDEN)
        tensors[f"{prefix}embed_tokens.weight"] = make.matrix(tiny.VOCAB, HIDDEN)
    if maker.is_centred:
        tensors = {k: v - 1 if "norm" in k else v for k, v in tensors.items()}
    return tensors


def config_of(name: str) -> dict[str, Any]:
    inside = layer_config("llama", DEPTH) | {"num_nextn_predict_layers": 1}
    if name == "deepseek":
        return inside | {"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"]}
    if name == "mimo":
        return inside | {"model_type": "mimo", "architectures": ["MiMoForCausalLM"]}
    if name == "qwen":
        return inside | {"model_type": "qwen3_next", "attn_output_gate": False}
    return {
        "architectures": ["MTPDraftModel"],
        "speculators_model_type": "mtp",
        "num_nextn_predict_layers": 1,
        "transformer_layer_config": layer_config("qwen3", DEPTH),
        "speculators_config": {
            "algorithm": "mtp",
            "proposal_methods": [{"proposal_type": "greedy", "speculative_tokens": 5}],
        },
    }


def module(folder: Path, name: str, **changes: Any) -> Path:
    """As it is released: inside its target's files, where it lies there."""
    tensors = tensors_of(name)
    if name != "speculators":
        tensors["model.embed_tokens.weight"] = torch.ones(tiny.VOCAB, HIDDEN)
        tensors["model.layers.0.mlp.up_proj.weight"] = torch.ones(2, 2)
    return write(folder, tensors, config_of(name) | changes)


def plain_probs(name: str, maker: Maker | None = None) -> Tensor:
    """[K, V] of each step, from the description."""
    weights = dict(tensors_of(name))
    maker = maker or MAKERS[name]
    if maker.is_centred:
        weights = {k: v + 1 if "norm" in k else v for k, v in weights.items()}
    prefix, layer = maker.prefix, f"{maker.prefix}{maker.layer}"
    embed, head = llama().embed, llama().head_weight
    if maker.has_own_head:
        embed = weights[f"{prefix}embed_tokens.weight"]
        head = weights[f"{prefix}shared_head.head.weight"]

    def norm(x: Tensor, part: str) -> Tensor:
        return plain.rms(x, weights[f"{prefix}{part}.weight"])

    def run(states: Tensor, tokens: Tensor) -> Tensor:
        parts = [norm(embed[tokens], maker.token_norm), norm(states, maker.hidden_norm)]
        order = parts[::-1] if maker.hidden_first else parts
        x = torch.cat(order, -1) @ weights[f"{prefix}{maker.project}.weight"].T
        normed = plain.rms(x, weights[f"{layer}input_layernorm.weight"])
        x = x + attention(normed, weights, f"{layer}self_attn.")
        normed = plain.rms(x, weights[f"{layer}post_attention_layernorm.weight"])
        return x + plain.mlp(normed, weights, f"{layer}mlp.")

    states, tokens, found = features((DEPTH,)), text()[1:], []
    for draft in DRAFTS:
        out = run(states, tokens)[-1:]
        read = norm(out, maker.final_norm)
        found.append(read @ head.T)
        states = torch.cat([states, read if maker.feeds_normed else out])
        tokens = torch.cat([tokens, draft.view(1)])
    return torch.cat(found).softmax(-1)


def attention(x: Tensor, weights: Mapping[str, Tensor], prefix: str) -> Tensor:
    """`plain.attention`, with biases as a column more of inputs that are all 1."""
    if f"{prefix}q_proj.bias" not in weights:
        return plain.attention(x, weights, prefix)
    wide = dict(weights)
    for letter in "qkv":
        name = f"{prefix}{letter}_proj"
        bias = weights[f"{name}.bias"].unsqueeze(1)
        wide[f"{name}.weight"] = torch.cat([weights[f"{name}.weight"], bias], 1)
    return plain.attention(torch.cat([x, torch.ones(len(x), 1)], -1), wide, prefix)


@pytest.mark.parametrize("kernels", list(Wanted))
@pytest.mark.parametrize("name", MAKERS)
def test_each_maker_is_computed_as_described(tmp_path: Path, name: str, kernels: Wanted) -> None:
    path = module(tmp_path, name)
    check_drafter_files(path, read_drafter_config(path, MTP))
    drafter = MtpDrafter(path, llama(kernels))
    assert drafter.spec.feature_layers == (FINAL_NORM,) and drafter.spec.can_branch
    assert drafter.spec.max_gamma == (5 if name == "speculators" else None)
    assert len(drafter.spec.notes) == int(name != "speculators")
    found = probs_of(drafter, features((DEPTH,)), DRAFTS)
    assert (found - plain_probs(name)).abs().max() < 1e-4
    assert found.std(0).max() > 0.01


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("what", ["hidden_first", "feeds_normed", "is_centred"])
def test_another_makers_meaning_is_something_else(name: str, what: str) -> None:
    """Each of the differences between makers shows, in the first draft or the ones behind it."""
    maker = MAKERS[name]
    other = replace(maker, **{what: not getattr(maker, what)})
    right, wrong = plain_probs(name), plain_probs(name, other)
    first = 1 if what == "feeds_normed" else 0
    assert torch.equal(right[:first], wrong[:first])
    assert (right[first:] - wrong[first:]).abs().amax(-1).min() > 5e-3


def test_the_first_step_reads_the_state_behind_the_targets_norm(tmp_path: Path) -> None:
    """A maker whose module reads the state before it is told apart by one field."""
    config = read_drafter_config(module(tmp_path, "speculators"), MTP)
    assert isinstance(config, MtpConfig)
    assert mtp_features(config, llama().config) == (FINAL_NORM,)
    before = replace(config, style=replace(config.style, reads_normed=False))
    assert mtp_features(before, llama().config) == (DEPTH - 1,)


REQUESTS = tiny.requests(7)


@pytest.fixture(scope="module")
def greedy_baseline() -> RunResult:
    return tiny.serve(REQUESTS, None, temperature=0.0)


@cache
def trained() -> MtpDrafter:
    drafter = tiny.drafter("mtp")
    assert isinstance(drafter, MtpDrafter)
    return drafter


@pytest.mark.parametrize("concurrency", [1, 7])
@pytest.mark.parametrize("gamma", [1, 4, 8])
@pytest.mark.parametrize("policy", [None, BestFirstTree(9)])
def test_greedy_output_equals_the_baseline(
    greedy_baseline: RunResult, gamma: int, concurrency: int, policy: Any
) -> None:
    drafter = trained() if policy is None else TreeDrafts(trained(), policy)
    rule = None if policy is None else MatchAcceptance()
    result = tiny.serve(REQUESTS, drafter, gamma, concurrency, 0.0, acceptance=rule)
    check = same_outputs_check("greedy", greedy_baseline, result)
    assert check.is_passed, check.detail
    assert any(cycle.num_accepted for cycle in result.cycles)


def test_sampled_texts_have_the_targets_law() -> None:
    requests, sampling = tiny.requests(150, 16), SamplingParams(0.8)
    result = tiny.serve(requests, trained(), 3, 150, 0.8)
    texts = [(one, tiny.outputs(result)[one.request_id]) for one in requests]
    check = emitted_law_check(tiny.target(), texts, sampling, 3)
    assert check.is_passed, check.detail


def test_sampled_tokens_do_not_depend_on_the_batch() -> None:
    alone, together = (
        tiny.outputs(tiny.serve(REQUESTS, trained(), 4, concurrency)) for concurrency in (1, 5)
    )
    assert alone == together


def shape(**changes: Any) -> dict[str, Any]:
    return {"transformer_layer_config": layer_config("qwen3", DEPTH) | changes}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mimo", {"num_nextn_predict_layers": 3}, "lacks the tensor 'model.mtp_layers.1.token"),
        ("qwen", {"num_nextn_predict_layers": 3}, "num_nextn_predict_layers is 3; valid: 1"),
        ("mimo", {"attention_bias": False}, "attention_bias is False; valid: True"),
        ("mimo", {"vocab_size": 65}, "vocab_size 65, its target 64"),
        ("deepseek", {"n_routed_experts": 256}, "n_routed_experts is 256; valid: 0"),
        ("deepseek", {"kv_lora_rank": 512}, r"'kv_lora_rank' \(512\) is not known"),
        ("deepseek", {"num_hidden_layers": 7}, "lacks the tensor 'model.layers.7.enorm.weight'"),
        ("deepseek", {"quantization_config": {"quant_method": "fp8"}}, "quantised weights"),
        ("qwen", {"attn_output_gate": True}, "attn_output_gate is True; valid: False"),
        ("qwen", {"num_experts": 512}, "num_experts is 512; valid: 0"),
        ("qwen", {"partial_rotary_factor": 0.25}, "partial_rotary_factor is 0.25; valid: 1.0"),
        ("qwen", {"layer_types": ["linear_attention"]}, "valid: 'full_attention' among them"),
        (
            "speculators",
            shape(model_type="qwen3_next"),
            "model_type is 'qwen3_next'; valid: 'qwen3'",
        ),
        ("speculators", shape(use_sliding_window=True), "use_sliding_window is True"),
        ("speculators", {"num_centroids": 64}, "'num_centroids' .* is not known"),
        ("speculators", {"transformer_layer_config": 3}, "is 3; valid: an object"),
        ("speculators", {"speculators_config": {}}, "proposal_methods is None; valid: a list"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(
    tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        MtpDrafter(module(tmp_path, name, **changes), llama())


def test_a_gated_layer_is_seen_by_its_shape(tmp_path: Path) -> None:
    """Released files of Qwen leave the key out."""
    tensors, config = tensors_of("qwen"), config_of("qwen")
    del config["attn_output_gate"]
    name = "mtp.layers.0.self_attn.q_proj.weight"
    tensors[name] = torch.cat([tensors[name], tensors[name]])
    with pytest.raises(CheckpointError, match=r"q_proj.weight' has shape \(64, 32\)"):
        MtpDrafter(write(tmp_path, tensors, config), llama())


@pytest.mark.parametrize("name", MAKERS)
def test_tensors_that_nothing_reads_are_refused(tmp_path: Path, name: str) -> None:
    """Of the module: its target's are passed over."""
    prefix = MAKERS[name].prefix
    tensors = tensors_of(name) | {f"{prefix}router.weight": torch.ones(2)}
    path = write(tmp_path, tensors, config_of(name))
    with pytest.raises(CheckpointError, match="router"):
        MtpDrafter(path, llama())
    with pytest.raises(CheckpointError, match="router"):
        check_drafter_files(path, read_drafter_config(path, MTP))


def test_another_drafter_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="use drafter=mtp"):
        AutoregressiveDrafter(module(tmp_path / "a", "mimo"), llama())
    with pytest.raises(CheckpointError, match="use drafter=ar"):
        MtpDrafter(tiny.drafter_dir("ar"), tiny.target())
