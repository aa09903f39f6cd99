"""Medusa's and Hydra's heads: which token each drafts, what it computes, that nothing is lost."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.protocols import Drafter
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import SamplingParams
from dspark_bench.drafters.hydra import HydraDrafter
from dspark_bench.drafters.medusa import MedusaDrafter
from dspark_bench.drafters.parallel import ParallelDrafter
from dspark_bench.engine.emitted_law import emitted_law_check
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.models.draft_config import HYDRA, MEDUSA
from dspark_bench.models.drafter_files import check_drafter_files, read_drafter_config
from dspark_bench.models.safetensors_convert import write_as_safetensors
from dspark_bench.training.drafter_batch import hang_blocks
from dspark_bench.training.head_models import HeadRecipe, HydraModel, MedusaModel
from dspark_bench.training.target_features import FrozenTarget
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.trees.static import StaticTree
from tests import tiny
from tests.drafters import counting
from tests.models.draft_formats.scoring import features, probs_of, text
from tests.tiny_formats import DEPTH, HIDDEN, Rand, llama, write

CLASSES: dict[str, Any] = {"medusa": MedusaDrafter, "hydra": HydraDrafter}
DRAFTS = torch.tensor([5, 60, 3])
MEDUSA_CONFIG = {"medusa_num_heads": 3, "medusa_num_layers": 1}
HYDRA_CONFIG = {
    "hydra_num_heads": 3,
    "hydra_num_layers": 1,
    "hydra_head_arch": "mlp",
    "grounded_heads": True,
    "hidden_state_offset": 0,
}


def last_state() -> Tensor:
    """transformers' state of the token before the anchor, behind the final norm [D]."""
    return features((DEPTH,))[-1]


def medusa_tensors(blocks: int = 1, own: bool = True, heads: int = 3) -> dict[str, Tensor]:
    make, tensors = Rand(7), {}
    for head in range(heads):
        for block in range(blocks):
            tensors[f"{head}.{block}.linear.weight"] = make.matrix(HIDDEN, HIDDEN)
            tensors[f"{head}.{block}.linear.bias"] = make.matrix(HIDDEN)
        if own:
            tensors[f"{head}.{blocks}.weight"] = 2 * make.matrix(tiny.VOCAB, HIDDEN)
    return tensors


def hydra_tensors(blocks: int = 1, own: bool = True) -> dict[str, Tensor]:
    make, tensors = Rand(8), {}
    for head in range(3):
        for block in range(blocks):
            width = HIDDEN * (head + 2) if block == 0 else HIDDEN
            kinds = ("linear", "res_connection") if block == 0 else ("linear",)
            for kind in kinds:
                tensors[f"hydra_mlp.{head}.{block}.{kind}.weight"] = make.matrix(HIDDEN, width)
                tensors[f"hydra_mlp.{head}.{block}.{kind}.bias"] = make.matrix(HIDDEN)
        if own:
            tensors[f"hydra_lm_head.{head}.weight"] = 2 * make.matrix(tiny.VOCAB, HIDDEN)
            tensors[f"hydra_lm_head.{head}.bias"] = make.matrix(tiny.VOCAB)
    return tensors


def plain_medusa(w: Mapping[str, Tensor], blocks: int, head: Tensor | None = None) -> Tensor:
    """[3, V] of the three heads, from the description."""
    found = []
    for i in range(3):
        x = last_state()
        for j in range(blocks):
            x = x + F.silu(w[f"{i}.{j}.linear.weight"] @ x + w[f"{i}.{j}.linear.bias"])
        found.append((w[f"{i}.{blocks}.weight"] if head is None else head) @ x)
    return torch.stack(found).softmax(-1)


def plain_hydra(w: Mapping[str, Tensor], blocks: int, head: Tensor | None = None) -> Tensor:
    """[3, V], each behind the anchor and the drafts before it."""
    embed, seen, found = llama().embed, [last_state()], []
    for i, token in enumerate((int(text()[-1]), *DRAFTS.tolist()[:2])):
        seen.append(embed[token])
        x = torch.cat(seen)
        for j in range(blocks):
            name = f"hydra_mlp.{i}.{j}"
            turned = F.silu(w[f"{name}.linear.weight"] @ x + w[f"{name}.linear.bias"])
            if j == 0:
                x = w[f"{name}.res_connection.weight"] @ x + w[f"{name}.res_connection.bias"]
            x = x + turned
        own = head is None
        logits = (w[f"hydra_lm_head.{i}.weight"] if own else head) @ x
        found.append(logits + w[f"hydra_lm_head.{i}.bias"] if own else logits)
    return torch.stack(found).softmax(-1)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", CLASSES)
def test_heads_compute_what_is_published(tmp_path: Path, name: str, own: bool, blocks: int) -> None:
    """Own heads, and the older kind without: under the target's."""
    is_medusa = name == "medusa"
    tensors = medusa_tensors(blocks, own) if is_medusa else hydra_tensors(blocks, own)
    config = MEDUSA_CONFIG if is_medusa else HYDRA_CONFIG
    path = write(tmp_path, tensors, config | {f"{name}_num_layers": blocks})
    check_drafter_files(path, read_drafter_config(path, MEDUSA if is_medusa else HYDRA))
    drafter = CLASSES[name](path, llama())
    assert drafter.spec.max_gamma == 3 and drafter.spec.notes == ()
    found = probs_of(drafter, features((DEPTH,)), DRAFTS)
    head = None if own else llama().head_weight
    plain = plain_medusa if is_medusa else plain_hydra
    assert (found - plain(tensors, blocks, head)).abs().max() < 1e-4
    assert found.std(0).max() > 0.01


def counting_drafter(folder: Path, name: str, offset: int = 0) -> Drafter:
    """Heads that count: Medusa's from the state of token t, Hydra's from the newest token each
    reads. offset: by how much they miscount.
    """
    tensors = {}
    size = counting.SIZE
    for head in range(3):
        if name == "medusa":
            tensors[f"{head}.0.linear.weight"] = torch.zeros(size, size)
            tensors[f"{head}.0.linear.bias"] = torch.zeros(size)
            tensors[f"{head}.1.weight"] = counting.counter(2 + head + offset)
            continue
        place = f"hydra_mlp.{head}.0"
        newest = torch.zeros(size, size * (head + 2))
        newest[:, -size:] = torch.eye(size)
        for kind in ("linear", "res_connection"):
            tensors[f"{place}.{kind}.bias"] = torch.zeros(size)
        tensors[f"{place}.linear.weight"] = torch.zeros_like(newest)
        tensors[f"{place}.res_connection.weight"] = newest
        tensors[f"hydra_lm_head.{head}.weight"] = counting.counter(1 + offset)
        tensors[f"hydra_lm_head.{head}.bias"] = torch.zeros(size)
    config = MEDUSA_CONFIG if name == "medusa" else HYDRA_CONFIG
    return CLASSES[name](write(folder, tensors, config), counting.target())


@pytest.mark.parametrize("name", CLASSES)
def test_head_0_drafts_the_token_behind_the_anchor(tmp_path: Path, name: str) -> None:
    right, wrong = (
        counting.serve(counting_drafter(tmp_path / str(offset), name, offset), 3)
        for offset in (0, 1)
    )
    alone = counting.serve(None, 3)
    assert tiny.outputs(right) == tiny.outputs(wrong) == tiny.outputs(alone)
    prompt = counting.PROMPTS[0]
    assert tiny.outputs(alone)[0][:3] == (prompt[-1] + 1, prompt[-1] + 2, prompt[-1] + 3)
    assert set(counting.shares_accepted(right)) == {1.0}
    assert set(counting.shares_accepted(wrong)) == {0.0}


def counting_model(name: str) -> MedusaModel | HydraModel:
    """The same heads as a module, under the target's own, which counts one on."""
    teacher = FrozenTarget(counting.target_dir(), tiny.CPU)
    model = (MedusaModel if name == "medusa" else HydraModel)(teacher, HeadRecipe(3))
    one = torch.eye(counting.SIZE)
    with torch.no_grad():
        for head, blocks in enumerate(model.heads):
            block = blocks[0]
            if name == "medusa":  # far above the state itself, which is added
                block.linear.weight.copy_(20 * one.roll(1 + head, 0))
            else:
                block.res_connection.weight.zero_()
                block.res_connection.weight[:, -counting.SIZE :] = one
    return model


@pytest.mark.parametrize("name", CLASSES)
def test_training_hangs_heads_where_drafting_does(name: str) -> None:
    model, tokens = counting_model(name), torch.arange(8, 40).unsqueeze(0)
    teacher = FrozenTarget(counting.target_dir(), tiny.CPU)
    layers, anchors = model.feature_layers, torch.tensor([[4, 9]])
    batch = hang_blocks(teacher, tokens, layers, anchors, 3, (), 4.0)
    with torch.no_grad():
        assert torch.equal(model.scores(batch).logits.argmax(-1), batch.labels)


@pytest.mark.parametrize("kind", [MedusaModel, HydraModel])
def test_untrained_heads_pass_the_state_on(kind: Any) -> None:
    """Under the target's head they say what it says itself: the anchor."""
    teacher = FrozenTarget(counting.target_dir(), tiny.CPU)
    model, tokens = kind(teacher, HeadRecipe(3)), torch.arange(8, 40).unsqueeze(0)
    anchors = torch.tensor([[4, 9]])
    batch = hang_blocks(teacher, tokens, model.feature_layers, anchors, 3, (), 4.0)
    with torch.no_grad():
        found = model.scores(batch).logits.argmax(-1)
    assert torch.equal(found, tokens[0, [4, 9]].view(1, 2, 1).expand(1, 2, 3))


REQUESTS = tiny.requests(7)


@pytest.fixture(scope="module")
def greedy_baseline() -> RunResult:
    return tiny.serve(REQUESTS, None, temperature=0.0)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("concurrency", [1, 7])
@pytest.mark.parametrize("policy", [None, BestFirstTree(9), StaticTree([[0], [1], [0, 0], [1, 1]])])
def test_greedy_output_equals_the_baseline(
    greedy_baseline: RunResult, name: str, concurrency: int, policy: Any
) -> None:
    drafter = tiny.drafter(name)
    drafter = drafter if policy is None else TreeDrafts(drafter, policy)
    rule = None if policy is None else MatchAcceptance()
    result = tiny.serve(REQUESTS, drafter, 4, concurrency, 0.0, acceptance=rule)
    check = same_outputs_check("greedy", greedy_baseline, result)
    assert check.is_passed, check.detail
    assert any(cycle.num_accepted for cycle in result.cycles)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("policy", [None, BestFirstTree(9)])
def test_sampled_texts_have_the_targets_law(name: str, policy: Any) -> None:
    requests, sampling = tiny.requests(150, 16), SamplingParams(0.8)
    drafter = tiny.drafter(name)
    drafter = drafter if policy is None else TreeDrafts(drafter, policy)
    rule = None if policy is None else MatchAcceptance()
    result = tiny.serve(requests, drafter, 3, 150, 0.8, acceptance=rule)
    texts = [(one, tiny.outputs(result)[one.request_id]) for one in requests]
    check = emitted_law_check(tiny.target(), texts, sampling, 3)
    assert check.is_passed, check.detail


@pytest.mark.parametrize("name", CLASSES)
def test_sampled_tokens_do_not_depend_on_the_batch(name: str) -> None:
    alone, together = (
        tiny.outputs(tiny.serve(REQUESTS, tiny.drafter(name), 4, concurrency))
        for concurrency in (1, 5)
    )
    assert alone == together


def test_heads_are_counted_in_the_files(tmp_path: Path) -> None:
    """Released Vicuna configurations say 2 where there are 5."""
    tensors = medusa_tensors(heads=5)
    drafter = MedusaDrafter(
        write(tmp_path, tensors, MEDUSA_CONFIG | {"medusa_num_heads": 2}), llama()
    )
    assert drafter.spec.max_gamma == 5
    assert drafter.spec.notes == (
        "the drafter's config.json says 2 heads, its files hold 5, which are used",
    )


def test_files_by_their_released_names(tmp_path: Path) -> None:
    wanted = probs_of(
        MedusaDrafter(write(tmp_path / "a", medusa_tensors(), MEDUSA_CONFIG), llama()),
        features((DEPTH,)),
        DRAFTS,
    )
    path = write(tmp_path / "b", medusa_tensors(), MEDUSA_CONFIG)
    (path / "model.safetensors").rename(path / "medusa_lm_head.safetensors")
    named = MedusaDrafter(path, llama())
    prefixed = {f"medusa_head.{name}": tensor for name, tensor in medusa_tensors().items()}
    whole = MedusaDrafter(write(tmp_path / "c", prefixed, MEDUSA_CONFIG), llama())
    for drafter in (named, whole):
        assert torch.equal(probs_of(drafter, features((DEPTH,)), DRAFTS), wanted)


def test_pickled_heads_are_converted_first(tmp_path: Path) -> None:
    folder = tmp_path / "released"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(MEDUSA_CONFIG))
    torch.save(medusa_tensors(), folder / "medusa_lm_head.pt")
    with pytest.raises(CheckpointError, match=r"medusa_lm_head.pt may run code .* convert"):
        MedusaDrafter(folder, llama())
    write_as_safetensors(folder, tmp_path / "safe")
    assert MedusaDrafter(tmp_path / "safe", llama()).spec.max_gamma == 3


VLLM = {
    "model_type": "medusa",
    "architectures": ["MedusaModel"],
    "hidden_size": HIDDEN,
    "vocab_size": tiny.VOCAB,
    "num_heads": 3,
    "num_hidden_layers": 1,
    "truncated_vocab_size": tiny.VOCAB,
}


def vllm_tensors(biases: bool = False, shared: bool = False) -> dict[str, Tensor]:
    found = {}
    for name, tensor in medusa_tensors().items():
        head, rest = name.split(".", 1)
        if rest == "1.weight":
            found[f"lm_heads.{head}.weight"] = tensor
        elif biases or not rest.endswith("bias"):
            found[f"blocks.{head}.layers.0.{rest.rpartition('.')[2]}"] = tensor
    return {
        k: v
        for k, v in found.items()
        if not (shared and k in ("lm_heads.1.weight", "lm_heads.2.weight"))
    }


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_vllms_own_files(tmp_path: Path, biases: bool, shared: bool) -> None:
    """No biases unless the file says so; one matrix over the vocabulary where it says so."""
    config = VLLM | {"medusa_fc_bias": biases, "original_lm_head": shared}
    drafter = MedusaDrafter(write(tmp_path, vllm_tensors(biases, shared), config), llama())
    weights = medusa_tensors()
    if not biases:
        weights = {k: 0 * v if k.endswith("bias") else v for k, v in weights.items()}
    wanted = plain_medusa(weights, 1, weights["0.1.weight"] if shared else None)
    assert (probs_of(drafter, features((DEPTH,)), DRAFTS) - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_token_map_is_the_vocabulary_that_is_drafted(tmp_path: Path, is_cut: bool) -> None:
    """Rows of the head of the mapped tokens, whether the file holds those alone or all."""
    ids, weights = torch.tensor([60, 5, 3, 41]), vllm_tensors()
    for name in ("lm_heads.0.weight", "lm_heads.1.weight", "lm_heads.2.weight"):
        weights[name] = weights[name][ids] if is_cut else weights[name]
    config = VLLM | {"truncated_vocab_size": 4}
    path = write(tmp_path, weights | {"token_map": ids}, config)
    check_drafter_files(path, read_drafter_config(path, MEDUSA))
    found = probs_of(MedusaDrafter(path, llama()), features((DEPTH,)), DRAFTS)
    zeroed = {k: 0 * v if k.endswith("bias") else v for k, v in medusa_tensors().items()}
    wanted = plain_medusa(zeroed, 1)
    kept = torch.zeros_like(wanted)
    kept[:, ids] = wanted[:, ids] / wanted[:, ids].sum(-1, keepdim=True)
    assert (found - kept).abs().max() < 1e-4


def without(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if key != name}


MAP = vllm_tensors() | {"token_map": torch.tensor([1, 1, 2])}


@pytest.mark.parametrize(
    ("name", "tensors", "config", "message"),
    [
        ("medusa", {"fc.weight": torch.ones(2, 2)}, MEDUSA_CONFIG, "hold no head; valid: tensors"),
        ("medusa", without(medusa_tensors(), "1.0.linear.weight"), MEDUSA_CONFIG, "1.0.linear"),
        (
            "medusa",
            without(medusa_tensors(), "1.0.linear.bias"),
            MEDUSA_CONFIG,
            "lacks .*1.0.linear",
        ),
        ("medusa", without(medusa_tensors(), "1.1.weight"), MEDUSA_CONFIG, "lacks .* '1.1.weight'"),
        ("medusa", without(medusa_tensors(), "0.1.weight"), MEDUSA_CONFIG, "holds the tensor '1.1"),
        ("medusa", medusa_tensors(), MEDUSA_CONFIG | {"medusa_num_layers": 2}, "is 2; valid: 1"),
        ("medusa", medusa_tensors(), MEDUSA_CONFIG | {"vocab_size": 65}, "vocab_size is 65; valid"),
        ("medusa", medusa_tensors(), MEDUSA_CONFIG | {"gates": 1}, "'gates' .* is not known"),
        ("medusa", medusa_tensors(), HYDRA_CONFIG, "medusa_num_heads', .* use drafter=hydra"),
        ("medusa", MAP, VLLM | {"truncated_vocab_size": 3}, "token_map' is no list of different"),
        ("medusa", vllm_tensors(), VLLM | {"truncated_vocab_size": 3}, "lacks .* 'token_map'"),
        ("medusa", vllm_tensors(), VLLM | {"logit_scale": 2.0}, "logit_scale is 2.0; valid: 1.0"),
        ("medusa", vllm_tensors(True), VLLM, "holds the tensor 'blocks.0.layers.0.bias'"),
        ("hydra", hydra_tensors(), MEDUSA_CONFIG, "use drafter=medusa"),
        (
            "hydra",
            hydra_tensors(),
            HYDRA_CONFIG | {"hydra_head_arch": "prefix-mlp"},
            "valid: 'mlp'",
        ),
        (
            "hydra",
            hydra_tensors(),
            HYDRA_CONFIG | {"grounded_heads": False},
            "is False; valid: True",
        ),
        ("hydra", hydra_tensors(), HYDRA_CONFIG | {"hidden_state_offset": 1}, "is 1; valid: 0"),
        (
            "hydra",
            without(hydra_tensors(), "hydra_mlp.1.0.res_connection.weight"),
            HYDRA_CONFIG,
            "lacks .*res_connection",
        ),
    ],
)
def test_files_that_say_otherwise_are_refused(
    tmp_path: Path, name: str, tensors: dict[str, Tensor], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        CLASSES[name](write(tmp_path, tensors, config), llama())


def test_other_drafters_name_the_one_that_reads_heads(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="use drafter=medusa"):
        ParallelDrafter(write(tmp_path, medusa_tensors(), MEDUSA_CONFIG), llama())


@pytest.mark.parametrize("name", CLASSES)
def test_another_targets_width_is_refused(tmp_path: Path, name: str) -> None:
    tensors = medusa_tensors() if name == "medusa" else hydra_tensors()
    path = write(tmp_path, tensors, MEDUSA_CONFIG if name == "medusa" else HYDRA_CONFIG)
    with pytest.raises(CheckpointError, match="hidden_size 32, its target 64"):
        CLASSES[name](path, counting.target())
