"""EAGLE-3 heads as SafeAILab releases them: what is computed, what it reads, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.types import Request
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.drafters.parallel import ParallelDrafter
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.models.draft_config import EAGLE3
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.expected_tensors import check_drafter_headers
from dspark_bench.models.kernels.choice import Wanted
from tests import tiny
from tests.models.draft_formats import plain
from tests.models.draft_formats.scoring import LENGTH, features, probs_of, text
from tests.tiny_formats import (
    HIDDEN,
    INPUTS,
    eagle3_config,
    eagle3_tensors,
    llama,
    llama_dir,
    random_llama,
    write,
)

DRAFTED = 24


def head(
    folder: Path,
    changes: dict[str, Any] | None = None,
    tensors: dict[str, Tensor] | None = None,
) -> Path:
    return write(folder, tensors or eagle3_tensors(), eagle3_config() | (changes or {}))


def expected(weights: dict[str, Tensor], embed: Tensor, drafts: Tensor, prefix: str) -> Tensor:
    model = plain.Eagle3(weights, embed, prefix)
    probs = model.logits(features(INPUTS), text()[1:], drafts).softmax(-1)
    return plain.over_all(probs, weights, tiny.VOCAB)


@pytest.mark.parametrize("kernels", list(Wanted))
@pytest.mark.parametrize("prefix", ["midlayer.", "layers.0."])
def test_it_computes_what_is_published(tmp_path: Path, kernels: Wanted, prefix: str) -> None:
    """Offsets, concatenation, un-normed residual and feedback, positions, no head norms."""
    target, weights = llama(kernels), eagle3_tensors(prefix=prefix)
    drafter = AutoregressiveDrafter(head(tmp_path, tensors=weights), target)
    drafts = torch.tensor([5, 60, 3, 17, 9])
    found, wanted = (
        probs_of(drafter, features(INPUTS), drafts),
        expected(weights, target.embed, drafts, prefix),
    )
    assert (found - wanted).abs().max() < 1e-4
    assert found.std(0).max() > 0.01
    never = torch.ones(tiny.VOCAB, dtype=torch.bool).index_fill_(0, plain.drafted(weights), False)
    assert int(never.sum()) == tiny.VOCAB - DRAFTED and (found[:, never] == 0).all()


def test_a_whole_vocabulary_needs_no_tables(tmp_path: Path) -> None:
    weights = eagle3_tensors(drafted=tiny.VOCAB)
    changes = {"draft_vocab_size": tiny.VOCAB, "num_hidden_layers": 40}
    path = head(tmp_path / "a", changes, weights)
    assert read_draft_config(path, EAGLE3).model.num_hidden_layers == 1
    drafter = AutoregressiveDrafter(path, llama())
    drafts = torch.tensor([5, 60])
    wanted = expected(weights, llama().embed, drafts, "midlayer.")
    assert (probs_of(drafter, features(INPUTS), drafts) - wanted).abs().max() < 1e-4
    tables = {
        "d2t": torch.zeros(tiny.VOCAB, dtype=torch.int64),
        "t2d": torch.ones(tiny.VOCAB, dtype=torch.bool),
    }
    again = AutoregressiveDrafter(head(tmp_path / "b", changes, weights | tables), llama())
    assert torch.equal(
        probs_of(again, features(INPUTS), drafts), probs_of(drafter, features(INPUTS), drafts)
    )


def test_a_head_of_another_width_has_its_own_embedding(tmp_path: Path) -> None:
    weights = eagle3_tensors(hidden=HIDDEN // 2)
    path = write(tmp_path, weights, eagle3_config(hidden=HIDDEN // 2))
    check_drafter_headers(path, read_draft_config(path, EAGLE3))
    drafts = torch.tensor([5, 60, 7])
    found = probs_of(AutoregressiveDrafter(path, llama()), features(INPUTS), drafts)
    wanted = expected(weights, weights["embed_tokens.weight"], drafts, "midlayer.")
    assert (found - wanted).abs().max() < 1e-4


def test_taps_are_inputs_of_layers(tmp_path: Path) -> None:
    """Our target's features are transformers' hidden states before layers 2, n // 2 and n - 3."""
    spec = AutoregressiveDrafter(head(tmp_path), llama()).spec
    assert spec.feature_layers == (1, 3, 4)
    assert spec.max_gamma is None and "any gamma" in spec.notes[0]
    from dspark_bench.models.attention import Span, plan_attention

    target = llama()
    cache = target.new_cache(1, 32)
    with torch.inference_mode():
        plan = plan_attention([Span(0, 0, LENGTH)], cache)
        seen = target.forward(text()[:LENGTH], plan, cache, feature_layers=spec.feature_layers)
    assert seen.features is not None
    assert (seen.features - features(INPUTS)).abs().max() < 1e-4
    assert (seen.features - features((3, 5, 6))).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({"eagle_aux_hidden_state_layer_ids": [1, 3, 6]}, (0, 2, 5)),
        ({"eagle_config": {"eagle_aux_hidden_state_layer_ids": [1, 3, 4]}}, (1, 3, 4)),
        ({"eagle_config": {"eagle_aux_hidden_state_layer_ids": [2, 4, 5]}}, (1, 3, 4)),
        ({"eagle_config": {"use_aux_hidden_state": True}}, (1, 3, 4)),
        ({"architectures": ["LlamaForCausalLMEagle3"]}, (1, 3, 4)),
        ({"architectures": ["Eagle3LlamaForCausalLM"], "num_aux_hidden_states": 3}, (1, 3, 4)),
    ],
)
def test_other_writers_of_the_same_format(
    tmp_path: Path, changes: dict[str, Any], layers: tuple[int, ...]
) -> None:
    drafter = AutoregressiveDrafter(head(tmp_path, changes), llama())
    assert drafter.spec.feature_layers == layers


NESTED = {"eagle_config": {"eagle_aux_hidden_state_layer_ids": [1, 2, 6]}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (NESTED, r"\[1, 2, 6\], which some programs count .* valid: \[2, 4, 5\] or \[1, 3, 4\]"),
        ({"eagle_config": [1]}, r"eagle_config is \[1\]"),
        ({"eagle_config": {"use_aux_hidden_state": False}}, "use_aux_hidden_state is False"),
        ({"eagle_config": {"layer_drop": 1}}, "eagle_config: the key 'layer_drop'"),
        ({"eagle_aux_hidden_state_layer_ids": [1, 3]}, r"is \[1, 3\]; valid: three layers"),
        ({"eagle_aux_hidden_state_layer_ids": [1, 3, 8]}, "holds 7; valid for this target"),
        ({"norm_before_residual": True}, "norm_before_residual is True; valid: False"),
        ({"norm_before_fc": True}, "norm_before_fc is True"),
        ({"parallel_drafting": True}, "parallel_drafting is True"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic'; supported"),
        ({"sliding_window": 512}, r"'sliding_window' \(512\) is not known"),
        ({"model_type": "qwen3"}, "model_type is 'qwen3'; valid: 'llama'"),
        ({"vocab_size": 65}, "vocab_size 65, its target 64"),
        ({"draft_vocab_size": 65}, "draft_vocab_size is 65; valid: a whole number, 1 to 64"),
        ({"draft_vocab_size": 23}, r"'d2t' has shape \(24,\); expected \(23,\)"),
        ({"target_hidden_size": 64}, "hidden_size 64, its target 32"),
        ({"attention_bias": True}, "lacks the tensor 'midlayer.self_attn.q_proj.bias'"),
        ({"ttt_length": 7}, r"'ttt_length' \(7\) is not known"),
    ],
)
def test_a_file_that_says_otherwise_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        AutoregressiveDrafter(head(tmp_path, changes), llama())


def without(name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in eagle3_tensors().items() if key != name}


OFFSETS = eagle3_tensors()["d2t"]
TWICE = torch.cat([OFFSETS[:-1], OFFSETS[:1] - len(OFFSETS) + 1])


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (without("d2t"), "lacks the tensor 'd2t'"),
        (without("lm_head.weight"), "lacks the tensor 'lm_head.weight'"),
        (without("midlayer.hidden_norm.weight"), "lacks the tensor 'midlayer.hidden_norm.weight'"),
        (eagle3_tensors() | {"d2t": OFFSETS[1:]}, r"'d2t' has shape \(23,\)"),
        (eagle3_tensors() | {"d2t": OFFSETS.float()}, "'d2t' has dtype float32"),
        (eagle3_tensors() | {"d2t": 0 * OFFSETS}, "'d2t' and 't2d' disagree"),
        (without("t2d") | {"d2t": OFFSETS + 40}, "'d2t' maps draft token .*; valid: 0 to 63"),
        (without("t2d") | {"d2t": TWICE}, "'d2t' maps two draft tokens to the same"),
        (eagle3_tensors() | {"t2d": torch.ones(64)}, "'t2d' has dtype float32"),
        (eagle3_tensors() | {"fc.bias": torch.ones(32)}, "holds the tensor 'fc.bias'"),
        (eagle3_tensors() | {"midlayer.self_attn.q_norm.weight": torch.ones(16)}, "q_norm"),
        (eagle3_tensors() | {"layers.1.mlp.up_proj.weight": torch.ones(2)}, "layers.1.mlp"),
    ],
)
def test_tensors_that_do_not_belong_are_refused(
    tmp_path: Path, tensors: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        AutoregressiveDrafter(head(tmp_path, tensors=tensors), llama())


def test_ids_in_place_of_offsets_are_noticed(tmp_path: Path) -> None:
    """A table of ids, read as offsets, leaves the vocabulary or contradicts t2d."""
    ids = plain.drafted(eagle3_tensors())
    with pytest.raises(CheckpointError, match="d2t"):
        AutoregressiveDrafter(head(tmp_path, tensors=eagle3_tensors() | {"d2t": ids}), llama())


def test_headers_ask_for_what_the_drafter_reads(tmp_path: Path) -> None:
    path = head(tmp_path)
    check_drafter_headers(path, read_draft_config(path, EAGLE3))
    for name in ("d2t", "lm_head.weight", "midlayer.mlp.up_proj.weight"):
        write(path, without(name), eagle3_config())
        with pytest.raises(CheckpointError, match=f"lacks the tensor '{name}'"):
            check_drafter_headers(path, read_draft_config(path, EAGLE3))


def test_a_target_of_few_layers_has_no_three_taps(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="this target has 4; valid: 7 or more"):
        AutoregressiveDrafter(head(tmp_path), llama(depth=4))


def test_another_drafter_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="use drafter=ar"):
        ParallelDrafter(head(tmp_path), llama())
    with pytest.raises(CheckpointError, match="architecture is 'LlamaForCausalLM'"):
        AutoregressiveDrafter(llama_dir(), llama())


@pytest.mark.parametrize("gamma", [1, 3, 9])
def test_greedy_output_equals_the_baseline(tmp_path: Path, gamma: int) -> None:
    drafter, requests = AutoregressiveDrafter(head(tmp_path), llama()), tiny.requests(5)
    alone = tiny.serve(requests, None, temperature=0.0, model=llama())
    result = tiny.serve(requests, drafter, gamma, 5, temperature=0.0, model=llama())
    check = same_outputs_check("greedy", alone, result)
    assert check.is_passed, check.detail
    assert any(cycle.num_accepted for cycle in result.cycles)


def test_sampled_tokens_follow_the_target(tmp_path: Path) -> None:
    """Chi-square of the second and third token over the whole vocabulary, where more than half of
    it is never drafted.
    """
    drafter, prompt, count = AutoregressiveDrafter(head(tmp_path), llama()), (7, 8, 9), 6000
    requests = [Request(index, "p", "test", prompt, 3) for index in range(count)]
    served = tiny.outputs(tiny.serve(requests, drafter, 2, 1000, model=llama(), max_len=16))
    with torch.inference_mode():
        model, vocab = random_llama(), tiny.VOCAB
        ids = torch.cartesian_prod(torch.arange(vocab), torch.arange(vocab))
        texts = torch.cat([torch.tensor(prompt).expand(len(ids), -1), ids], -1)
        law = model(texts).logits.softmax(-1).double()
    first, last = law[0, 2].clone(), law[:, 4].view(vocab, vocab, vocab)
    second = law[::vocab, 3]
    first[tiny.EOS] = 0
    reached = first[:, None] * second
    stays = reached.clone()
    stays[:, tiny.EOS] = 0
    laws = {1: reached.sum(0), 2: (stays[..., None] * last).sum((0, 1))}
    for place, wanted in laws.items():
        seen = torch.zeros(vocab)
        for output in served.values():
            if len(output) > place:
                seen[output[place]] += 1
        counts = (wanted * count).numpy()
        often = counts >= 5
        shown, due = list(seen.numpy()[often]), list(counts[often])
        if counts[~often].sum() > 0:
            shown.append(seen.numpy()[~often].sum())
            due.append(counts[~often].sum())
        due, total = [value * sum(shown) / sum(due) for value in due], sum(shown)
        assert total > count / 2 and often.sum() > 30
        assert stats.chisquare(shown, due).pvalue > 1e-4
