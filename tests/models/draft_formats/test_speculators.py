"""speculators' eagle3, dflash and dspark: what is computed, what ids mean, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, Qwen3Config

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.protocols import Drafter
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.drafters.parallel import ParallelDrafter
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.models.draft_config import DFLASH, DSPARK, EAGLE3
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.draft_formats.speculators_keys import CLASS_DEFAULTS
from dspark_bench.models.expected_tensors import check_drafter_headers
from dspark_bench.models.kernels.choice import Wanted
from tests import tiny
from tests.models.draft_formats import plain
from tests.models.draft_formats.scoring import features, probs_of, proposal_of, text
from tests.tiny_formats import (
    HEAD_DIM,
    HIDDEN,
    INPUTS,
    Rand,
    block_tensors,
    eagle3_tensors,
    layer_config,
    llama,
    speculators_config,
    write,
)

DRAFTS = torch.tensor([5, 60, 3, 17])
ANCHOR, MASK, RANK, DRAFTED = int(text()[-1]), 2, 8, 24
IDS = [2, 7]
BLOCK: dict[str, Any] = {
    "block_size": 6,
    "mask_token_id": MASK,
    "aux_hidden_state_layer_ids": IDS,
    "draft_vocab_size": DRAFTED,
}
MARKOV: dict[str, Any] = {
    "markov_rank": RANK,
    "enable_confidence_head": True,
    "confidence_head_with_markov": True,
}


def eagle3(folder: Path, tensors: dict[str, Tensor] | None = None, **own: Any) -> Path:
    own = {"draft_vocab_size": DRAFTED, "norm_before_residual": False, **own}
    config = speculators_config("eagle3", own.pop("family", "llama"), 1, **own)
    return write(folder, tensors or eagle3_tensors(prefix="layers.0."), config)


def dflash(folder: Path, tensors: dict[str, Tensor] | None = None, **own: Any) -> Path:
    config = speculators_config("dflash", "qwen3", 2, **{**BLOCK, **own})
    return write(folder, tensors or block_tensors(drafted=DRAFTED), config)


def dspark(folder: Path, tensors: dict[str, Tensor] | None = None, **own: Any) -> Path:
    own = {**BLOCK, **MARKOV, "sample_from_anchor": True, **own}
    config = speculators_config("dspark", "qwen3", 2, **own)
    return write(folder, tensors or block_tensors(drafted=DRAFTED, rank=RANK), config)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize(("residual", "before_fc"), [(False, False), (True, False), (True, True)])
def test_eagle3_is_computed_as_published(
    tmp_path: Path, family: str, residual: bool, before_fc: bool
) -> None:
    weights, make = eagle3_tensors(prefix="layers.0."), Rand(8)
    if family == "qwen3":
        for letter in "qk":
            weights[f"layers.0.self_attn.{letter}_norm.weight"] = make.norm(HEAD_DIM)
    if before_fc:
        weights["input_norm.weight"] = make.norm(3 * HIDDEN)
    keys = {"norm_before_residual": residual, "norm_before_fc": before_fc, "family": family}
    path = eagle3(tmp_path, weights, **keys)
    check_drafter_headers(path, read_draft_config(path, EAGLE3))
    drafter = AutoregressiveDrafter(path, llama())
    model = plain.Eagle3(weights, llama().embed, "layers.0.", residual, before_fc)
    probs = model.logits(features(INPUTS), text()[1:], DRAFTS).softmax(-1)
    wanted = plain.over_all(probs, weights, tiny.VOCAB)
    assert (probs_of(drafter, features(INPUTS), DRAFTS) - wanted).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("ids", "layers"), [(None, (1, 3, 4)), ([2, 4, 5], (1, 3, 4)), ([0, 3, 7], (-1, 2, 6))]
)
def test_eagle3_ids_count_inputs(
    tmp_path: Path, ids: list[int] | None, layers: tuple[int, ...]
) -> None:
    drafter = AutoregressiveDrafter(eagle3(tmp_path, eagle_aux_hidden_state_layer_ids=ids), llama())
    assert drafter.spec.feature_layers == layers
    assert drafter.spec.max_gamma is None


def block_of(weights: dict[str, Tensor], in_place: bool) -> plain.Block:
    head = weights.get("lm_head.weight", llama().head_weight)
    return plain.Block(weights, llama().embed, head, MASK, in_place)


@pytest.mark.parametrize("kernels", list(Wanted))
@pytest.mark.parametrize("drafted", [None, DRAFTED])
def test_dflash_predicts_in_place(tmp_path: Path, drafted: int | None, kernels: Wanted) -> None:
    """The anchor's slot drafts nothing: slot j predicts token anchor + j, from j = 1 on."""
    weights = block_tensors(drafted=drafted)
    path = dflash(tmp_path, weights, draft_vocab_size=drafted or tiny.VOCAB)
    check_drafter_headers(path, read_draft_config(path, DFLASH))
    drafter, seen = ParallelDrafter(path, llama(kernels)), features(tuple(IDS))
    assert (drafter.spec.max_gamma, drafter.spec.feature_layers) == (5, (1, 6))
    found = probs_of(drafter, seen, DRAFTS)
    for in_place in (True, False):
        probs = block_of(weights, in_place).logits(seen, ANCHOR, DRAFTS).softmax(-1)
        gap = (found - plain.over_all(probs, weights, tiny.VOCAB)).abs().max()
        assert gap < 1e-4 if in_place else gap > 1e-2


@pytest.mark.parametrize("head_type", ["vanilla", "gated"])
@pytest.mark.parametrize("from_anchor", [True, False])
def test_dspark_reads_where_its_block_begins(
    tmp_path: Path, from_anchor: bool, head_type: str
) -> None:
    """The Markov head reads target tokens and biases those that can be drafted."""
    weights = block_tensors(drafted=DRAFTED, rank=RANK, head_type=head_type)
    path = dspark(tmp_path, weights, sample_from_anchor=from_anchor, markov_head_type=head_type)
    check_drafter_headers(path, read_draft_config(path, DSPARK))
    drafter, seen = SemiAutoregressiveDrafter(path, llama()), features(tuple(IDS))
    assert drafter.spec.max_gamma == (6 if from_anchor else 5)
    found, model = proposal_of(drafter, seen, DRAFTS), block_of(weights, not from_anchor)
    probs = model.logits(seen, ANCHOR, DRAFTS).softmax(-1)
    assert found.probs is not None and found.confidence is not None
    wanted = plain.over_all(probs, weights, tiny.VOCAB)
    assert (found.probs[1] - wanted).abs().max() < 1e-4
    assert (found.confidence[1] - model.confidence(seen, ANCHOR, DRAFTS)).abs().max() < 1e-4


def test_what_merely_renames_drafts_as_the_native_one(tmp_path: Path) -> None:
    """Over the whole vocabulary and from the anchor on, dspark is DeepSpec's under other keys."""
    weights = block_tensors(rank=RANK)
    native = (
        layer_config("qwen3", 2)
        | MARKOV
        | {
            "architectures": ["Qwen3DSparkModel"],
            "target_layer_ids": [layer - 1 for layer in IDS],
            "block_size": 6,
            "mask_token_id": MASK,
            "tie_word_embeddings": False,
        }
    )
    ours = SemiAutoregressiveDrafter(write(tmp_path / "native", weights, native), llama())
    path = dspark(tmp_path / "other", weights, draft_vocab_size=tiny.VOCAB)
    other = SemiAutoregressiveDrafter(path, llama())
    assert ours.spec == other.spec
    seen = features(tuple(IDS))
    assert torch.equal(probs_of(ours, seen, DRAFTS), probs_of(other, seen, DRAFTS))


@pytest.mark.parametrize(("tokens", "gamma"), [(6, 6), (5, 5)])
def test_an_older_file_tells_by_its_number_of_tokens(
    tmp_path: Path, tokens: int, gamma: int
) -> None:
    path = dspark(tmp_path, sample_from_anchor=None)
    config = json.loads((path / "config.json").read_text())
    config["speculators_config"]["proposal_methods"][0]["speculative_tokens"] = tokens
    (path / "config.json").write_text(json.dumps(config))
    assert read_draft_config(path, DSPARK).max_gamma == gamma
    config["speculators_config"]["proposal_methods"][0]["speculative_tokens"] = 3
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="lacks the key 'sample_from_anchor', which older"):
        read_draft_config(path, DSPARK)


def test_an_absent_key_of_the_shape_has_its_class_s_default(tmp_path: Path) -> None:
    """Files hold what differs from the class's defaults, and ours are not those."""
    for kind, family in (("llama", LlamaConfig()), ("qwen3", Qwen3Config())):
        for key, value in CLASS_DEFAULTS[kind].items():
            assert getattr(family, key) == value, key
    shape = {**layer_config("llama", 1), "num_hidden_layers": None, "vocab_size": None}
    shape = {key: value for key, value in shape.items() if value is not None}
    with pytest.raises(CheckpointError, match="num_hidden_layers is 32; valid: 1"):
        AutoregressiveDrafter(eagle3(tmp_path, transformer_layer_config=shape), llama())
    shape["num_hidden_layers"] = 1
    with pytest.raises(CheckpointError, match="vocab_size 32000, its target 64"):
        AutoregressiveDrafter(eagle3(tmp_path, transformer_layer_config=shape), llama())


def shape(family: str = "qwen3", **changes: Any) -> dict[str, Any]:
    return {**layer_config(family, 2 if family == "qwen3" else 1), **changes}


SLIDING = {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 4}
REFUSED: list[tuple[Any, Any, dict[str, Any], str]] = [
    (AutoregressiveDrafter, eagle3, {"norm_before_residual": None}, "vLLM takes for true and spec"),
    (AutoregressiveDrafter, eagle3, {"fc_norm": True}, "fc_norm is True; valid: False"),
    (AutoregressiveDrafter, eagle3, {"norm_output": True}, "norm_output is True"),
    (AutoregressiveDrafter, eagle3, {"layer_drop": 1}, r"'layer_drop' \(1\) is not known"),
    (
        AutoregressiveDrafter,
        eagle3,
        {"transformer_layer_config": shape("llama", num_hidden_layers=2)},
        "num_hidden_layers is 2; valid: 1",
    ),
    (
        AutoregressiveDrafter,
        eagle3,
        {"transformer_layer_config": shape("llama", model_type="gemma2")},
        "model_type is 'gemma2'; valid: 'llama'",
    ),
    (ParallelDrafter, dflash, {"aux_hidden_state_layer_ids": None}, "lacks the key 'aux_hidden_st"),
    (AutoregressiveDrafter, eagle3, {"aux_hidden_state_layer_ids": IDS}, "'aux_hidden_state_layer"),
    (ParallelDrafter, dflash, {"eagle_aux_hidden_state_layer_ids": IDS}, "'eagle_aux_hidden_state"),
    (ParallelDrafter, dflash, {"mask_token_id": None}, "lacks the key 'mask_token_id'"),
    (ParallelDrafter, dflash, {"projector_type": "domino"}, "projector_type is 'domino'"),
    (ParallelDrafter, dflash, {"shift_label": True}, "shift_label is True"),
    (ParallelDrafter, dflash, {"draft_vocab_size": None}, "draft_vocab_size is 32000"),
    (ParallelDrafter, dflash, {"markov_rank": 8}, r"'markov_rank' \(8\) is not known"),
    (
        ParallelDrafter,
        dflash,
        {"transformer_layer_config": shape(use_sliding_window=True, **SLIDING)},
        "layer_types holds 'sliding_attention', which is not computed in a drafter",
    ),
    (
        ParallelDrafter,
        dflash,
        {"transformer_layer_config": shape(attention_bias=True)},
        "attention_bias is True; valid: False",
    ),
    (
        ParallelDrafter,
        dflash,
        {"speculators_config": {"algorithm": "dflash2"}},
        "speculators_config.algorithm is 'dflash2'; valid: 'dflash'",
    ),
    (
        SemiAutoregressiveDrafter,
        dspark,
        {"sample_from_anchor": False, "markov_head_type": "rnn"},
        "whether its state begins in the anchor's slot is not known",
    ),
    (SemiAutoregressiveDrafter, dspark, {"enable_confidence_head": False}, "'confidence_head.proj"),
    (ParallelDrafter, dspark, {}, "use drafter=semi_ar"),
    (SemiAutoregressiveDrafter, eagle3, {}, "use drafter=ar"),
]


@pytest.mark.parametrize(("drafter", "make", "changes", "message"), REFUSED)
def test_a_file_that_says_otherwise_is_refused(
    tmp_path: Path, drafter: Any, make: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        drafter(make(tmp_path, **changes), llama())


@pytest.mark.parametrize("kind", ["eagle3", "dflash", "dspark"])
def test_greedy_output_equals_the_baseline(tmp_path: Path, kind: str) -> None:
    drafter: Drafter = {
        "eagle3": lambda: AutoregressiveDrafter(eagle3(tmp_path), llama()),
        "dflash": lambda: ParallelDrafter(dflash(tmp_path), llama()),
        "dspark": lambda: SemiAutoregressiveDrafter(
            dspark(tmp_path, sample_from_anchor=False), llama()
        ),
    }[kind]()
    requests = tiny.requests(5)
    alone = tiny.serve(requests, None, temperature=0.0, model=llama())
    result = tiny.serve(requests, drafter, 5, 3, temperature=0.0, model=llama())
    check = same_outputs_check("greedy", alone, result)
    assert check.is_passed, check.detail
