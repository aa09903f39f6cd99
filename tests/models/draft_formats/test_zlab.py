"""z-lab's DFlash: slots in place, embedding and head of the target, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dspark_bench.commands.inspect import inspect
from dspark_bench.core.errors import CheckpointError
from dspark_bench.drafters.jetspec import JetSpecDrafter
from dspark_bench.drafters.parallel import ParallelDrafter
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.models.draft_config import DFLASH, JETSPEC
from dspark_bench.models.draft_formats.conversion import convert
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.expected_tensors import check_drafter_headers
from tests import tiny
from tests.models.draft_formats import plain
from tests.models.draft_formats.scoring import features, probs_of, text
from tests.tiny_formats import DEPTH, block_tensors, layer_config, llama, write

IDS, MASK, BLOCK = [1, 6], 2, 7
METHOD: dict[str, Any] = {"mask_token_id": MASK, "target_layer_ids": IDS}
CAUSAL = {**METHOD, "causal_head": True}


def config(**changes: Any) -> dict[str, Any]:
    """As released, of which copies of the target's configuration are a part."""
    full = {
        **layer_config("qwen3", 2),
        "architectures": ["DFlashDraftModel"],
        "auto_map": {"AutoModel": "dflash.DFlashDraftModel"},
        "attention_bias": False,
        "block_size": BLOCK,
        "dflash_config": METHOD,
        "layer_types": ["full_attention"] * 2,
        "num_target_layers": DEPTH,
        "use_sliding_window": False,
        **changes,
    }
    return {key: value for key, value in full.items() if value is not None}


def test_its_slots_predict_in_place(tmp_path: Path) -> None:
    """Layer ids count outputs, and the head is the target's though a copied key says tied."""
    weights = block_tensors()
    path = write(tmp_path, weights, config())
    check_drafter_headers(path, read_draft_config(path, DFLASH))
    drafter = ParallelDrafter(path, llama())
    assert (drafter.spec.max_gamma, drafter.spec.feature_layers) == (BLOCK - 1, tuple(IDS))
    assert drafter.spec.notes == ()
    seen, drafts = features(tuple(layer + 1 for layer in IDS)), torch.tensor([5, 60, 3, 17])
    found = probs_of(drafter, seen, drafts)
    for in_place in (True, False):
        model = plain.Block(weights, llama().embed, llama().head_weight, MASK, in_place)
        gap = (found - model.logits(seen, int(text()[-1]), drafts).softmax(-1)).abs().max()
        assert gap < 1e-4 if in_place else gap > 1e-2


@pytest.mark.parametrize(
    "changes",
    [
        {"block_size": None, "dflash_config": {**METHOD, "block_size": BLOCK}},
        {"num_target_layers": None, "dflash_config": {**METHOD, "num_target_layers": DEPTH}},
        {"num_target_layers": None},
        {"use_sliding_window": True, "sliding_window": 4096},
        {"dflash_config": {**METHOD, "causal_head": False, "projector_type": "dflash"}},
    ],
)
def test_other_packagings_are_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write(tmp_path, block_tensors(), config(**changes))
    drafter = ParallelDrafter(path, llama())
    assert (drafter.spec.max_gamma, drafter.spec.feature_layers) == (BLOCK - 1, tuple(IDS))


def jetspec(folder: Path, **changes: Any) -> JetSpecDrafter:
    return JetSpecDrafter(
        write(folder, block_tensors(), config(dflash_config={**CAUSAL, **changes})), llama()
    )


def test_a_causal_head_sees_what_lies_before(tmp_path: Path) -> None:
    """From the anchor's slot on. Read as DFlash, which sees the whole block, it is another one."""
    check_drafter_headers(
        write(tmp_path, block_tensors(), config(dflash_config=CAUSAL)),
        read_draft_config(tmp_path, JETSPEC),
    )
    drafter = jetspec(tmp_path)
    assert (drafter.spec.max_gamma, drafter.spec.feature_layers) == (BLOCK - 1, tuple(IDS))
    seen, drafts = features(tuple(layer + 1 for layer in IDS)), torch.tensor([5, 60, 3, 17])
    found = probs_of(drafter, seen, drafts)
    for is_causal in (True, False):
        model = plain.Block(
            block_tensors(), llama().embed, llama().head_weight, MASK, True, is_causal=is_causal
        )
        gap = (found - model.logits(seen, int(text()[-1]), drafts).softmax(-1)).abs().amax(-1)
        assert gap.max() < 1e-4 if is_causal else gap[0] > 1e-2
    # a longer block leaves the first slots as they are, which a bidirectional one does not
    shorter = probs_of(drafter, seen, drafts[:2])
    assert (shorter - found[:2]).abs().max() < 1e-5
    other = ParallelDrafter(write(tmp_path / "d", block_tensors(), config()), llama())
    wide, narrow = probs_of(other, seen, drafts), probs_of(other, seen, drafts[:2])
    assert (narrow - wide[:2]).abs().max() > 1e-2


def test_a_causal_head_is_named_and_written_as_it_is(tmp_path: Path) -> None:
    jetspec(tmp_path / "a", target_hidden_size=32)
    assert inspect(tmp_path / "a").facts["run as"].startswith("drafter=jetspec ")
    convert(tmp_path / "a", "zlab", tmp_path / "b", None)
    assert read_draft_config(tmp_path / "b", JETSPEC).is_causal
    with pytest.raises(CheckpointError, match="is a JetSpec drafter, and DeepSpec"):
        convert(tmp_path / "a", "deepspec", tmp_path / "c", None)
    plain_one = write(tmp_path / "d", block_tensors(), config())
    with pytest.raises(CheckpointError, match="causal_head is not true: a DFlash checkpoint"):
        JetSpecDrafter(plain_one, llama())


SLIDING = {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dflash_config": None}, "dflash_config is None; valid: an object"),
        ({"dflash_config": {"mask_token_id": 2}}, "lacks the key 'target_layer_ids'"),
        ({"dflash_config": {"target_layer_ids": IDS}}, "lacks the key 'mask_token_id'"),
        ({"dflash_config": {**METHOD, "block_size": 8}}, "block_size is 7, dflash_config.block_si"),
        ({"dflash_config": {**METHOD, "causal": True}}, "causal is True; valid: False"),
        ({"dflash_config": CAUSAL}, "causal_head is true: a JetSpec checkpoint, not a DFlash one"),
        ({"dflash_config": {**METHOD, "causal_head": 1}}, "causal_head is 1; valid: true or false"),
        ({"dflash_config": {**METHOD, "target_hidden_size": 48}}, "hidden_size 48, its target 32"),
        ({"dflash_config": {**METHOD, "markov_rank": 4}}, "'markov_rank'"),
        ({"dflash_config": {**METHOD, "target_layer_ids": [1, 7]}}, "holds 7; valid for this"),
        ({"markov_rank": 4}, r"'markov_rank' \(4\) is not known"),
        ({"use_sliding_window": True, **SLIDING}, "'sliding_attention', which is not computed"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"block_size": None}, "lacks the key 'block_size'"),
        ({"num_target_layers": 9}, "num_target_layers 9, its target 8"),
        ({"final_logit_softcapping": 30.0}, "'final_logit_softcapping'"),
        ({"model_type": "llama"}, "model_type is 'llama'; valid: 'qwen3'"),
    ],
)
def test_a_file_that_says_otherwise_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        ParallelDrafter(write(tmp_path, block_tensors(), config(**changes)), llama())


def test_another_drafter_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, block_tensors(), config())
    with pytest.raises(CheckpointError, match="use drafter=parallel"):
        SemiAutoregressiveDrafter(path, llama())


@pytest.mark.parametrize("gamma", [1, BLOCK - 1])
def test_greedy_output_equals_the_baseline(tmp_path: Path, gamma: int) -> None:
    drafter = ParallelDrafter(write(tmp_path, block_tensors(), config()), llama())
    requests = tiny.requests(5)
    alone = tiny.serve(requests, None, temperature=0.0, model=llama())
    result = tiny.serve(requests, drafter, gamma, 3, temperature=0.0, model=llama())
    check = same_outputs_check("greedy", alone, result)
    assert check.is_passed, check.detail
