"""EAGLE-1 and EAGLE-2 heads as they are released: bias, missing norms, the state that is read."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dspark_bench.commands.inspect import inspect
from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.features import FINAL_NORM
from dspark_bench.core.types import LARGEST_PROBABILITY
from dspark_bench.drafters.eagle import EagleDrafter
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.draft_config import EAGLE
from dspark_bench.models.draft_formats.conversion import convert
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.expected_tensors import check_drafter_headers
from dspark_bench.models.kernels.choice import Wanted
from tests.models.draft_formats import plain
from tests.models.draft_formats.scoring import LENGTH, features, probs_of, text
from tests.tiny_formats import (
    DEPTH,
    HIDDEN,
    Rand,
    eagle_config,
    eagle_tensors,
    llama,
    llama_dir,
    write,
)

DRAFTS = torch.tensor([5, 60, 3, 17, 9])
STATES = (DEPTH,)
"""transformers' last hidden state stands behind the final norm."""


def head(
    folder: Path, changes: dict[str, Any] | None = None, tensors: dict[str, Tensor] | None = None
) -> Path:
    return write(folder, tensors or eagle_tensors(), eagle_config() | (changes or {}))


def expected(weights: dict[str, Tensor]) -> Tensor:
    model = plain.Eagle(weights, llama().embed, llama().head_weight)
    return model.logits(features(STATES), text()[1:], DRAFTS).softmax(-1)


@pytest.mark.parametrize("kernels", list(Wanted))
def test_it_computes_what_is_published(tmp_path: Path, kernels: Wanted) -> None:
    drafter = EagleDrafter(head(tmp_path), llama(kernels))
    found = probs_of(drafter, features(STATES), DRAFTS)
    assert (found - expected(eagle_tensors())).abs().max() < 1e-4
    assert found.std(0).max() > 0.01


def test_what_it_reads_is_behind_the_final_norm(tmp_path: Path) -> None:
    """The state before it, which is the last layer's output, is another one."""
    spec = EagleDrafter(head(tmp_path), llama()).spec
    assert spec.feature_layers == (FINAL_NORM,)
    assert spec.max_gamma is None and spec.confidence_kind == LARGEST_PROBABILITY
    target = llama()
    cache = target.new_cache(1, 32)
    with torch.inference_mode():
        plan = plan_attention([Span(0, 0, LENGTH)], cache)
        seen = target.forward(text()[:LENGTH], plan, cache, feature_layers=spec.feature_layers)
        before = target.forward(text()[:LENGTH], plan, cache, feature_layers=(DEPTH - 1,))
    assert seen.features is not None and before.features is not None
    assert (seen.features - features(STATES)).abs().max() < 1e-4
    wrong = probs_of(EagleDrafter(tmp_path, llama()), before.features, DRAFTS)
    assert (wrong - expected(eagle_tensors())).abs().max() > 0.01


def test_the_bias_is_there_unless_the_file_says_no(tmp_path: Path) -> None:
    without = eagle_tensors(has_bias=False)
    for key in ("bias", "eagle_fc_bias"):
        path = head(tmp_path / key, {key: False}, without)
        check_drafter_headers(path, read_draft_config(path, EAGLE))
        found = probs_of(EagleDrafter(path, llama()), features(STATES), DRAFTS)
        assert (found - expected(without)).abs().max() < 1e-4
        assert (found - expected(eagle_tensors())).abs().max() > 0.01
    path = head(tmp_path / "lacks", tensors=without)
    with pytest.raises(CheckpointError, match=r"fc\.bias"):
        check_drafter_headers(path, read_draft_config(path, EAGLE))
    path = head(tmp_path / "more", {"bias": False})
    with pytest.raises(CheckpointError, match=r"fc\.bias"):
        EagleDrafter(path, llama())


def test_a_norm_before_the_layer_is_not_understood(tmp_path: Path) -> None:
    tensors = eagle_tensors() | {"layers.0.input_layernorm.weight": Rand(1).norm(HIDDEN)}
    path = head(tmp_path, tensors=tensors)
    with pytest.raises(CheckpointError, match=r"input_layernorm"):
        check_drafter_headers(path, read_draft_config(path, EAGLE))
    with pytest.raises(CheckpointError, match=r"input_layernorm"):
        EagleDrafter(path, llama())


def test_a_copy_of_the_embedding_may_be_there(tmp_path: Path) -> None:
    tensors = eagle_tensors() | {"embed_tokens.weight": llama().embed.clone()}
    path = head(tmp_path, tensors=tensors)
    check_drafter_headers(path, read_draft_config(path, EAGLE))
    drafter = EagleDrafter(path, llama())
    found = probs_of(drafter, features(STATES), DRAFTS)
    assert (found - expected(eagle_tensors())).abs().max() < 1e-4
    assert not any("differs" in note for note in drafter.spec.notes)


def test_it_is_told_from_what_looks_like_it(tmp_path: Path) -> None:
    """A draft vocabulary makes it EAGLE-3; a whole model of one layer is a target."""
    assert read_draft_config(head(tmp_path / "own"), EAGLE).layout == EAGLE
    named = head(tmp_path / "named", {"architectures": ["EagleLlamaForCausalLM"]})
    assert read_draft_config(named, EAGLE).layout == EAGLE
    other = head(tmp_path / "other", {"draft_vocab_size": 24})
    with pytest.raises(CheckpointError, match="use drafter=ar"):
        read_draft_config(other, EAGLE)
    facts = inspect(tmp_path / "own").facts
    assert facts["run as"].startswith("drafter=eagle ")
    assert facts["reads"] == "the target's state behind its final norm"
    assert inspect(llama_dir(1)).facts["format"].startswith("a target, llama")


def test_it_is_written_as_it_is_read(tmp_path: Path) -> None:
    convert(head(tmp_path / "a"), "eagle", tmp_path / "b", None)
    found = probs_of(EagleDrafter(tmp_path / "b", llama()), features(STATES), DRAFTS)
    assert torch.equal(
        found, probs_of(EagleDrafter(tmp_path / "a", llama()), features(STATES), DRAFTS)
    )
    with pytest.raises(CheckpointError, match="EAGLE-1/2 drafter, and"):
        convert(tmp_path / "a", "deepspec", tmp_path / "c", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias": "no"}, "bias is 'no'"),
        ({"model_type": "qwen3"}, "model_type is 'qwen3'"),
        ({"norm_before_fc": True}, "norm_before_fc"),
        ({"vocab_size": 65}, "vocab_size 65, its target 64"),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        EagleDrafter(head(tmp_path, changes), llama())
