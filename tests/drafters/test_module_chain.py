"""Several modules, one for each slot: against a plain forward pass, and in the cycle."""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.core.types import ContextUpdate, DraftBatch, SamplingParams
from dspark_bench.drafters.mtp import MtpDrafter
from dspark_bench.engine.emitted_law import emitted_law_check
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.models.draft_config import MTP
from dspark_bench.models.drafter_files import check_drafter_files, read_drafter_config
from tests import tiny
from tests.drafters.test_mtp import DRAFTS, MAKERS, attention, config_of, tensors_of
from tests.models.draft_formats import plain
from tests.models.draft_formats.scoring import LENGTH, features, probs_of, text
from tests.tiny_formats import DEPTH, llama, write

NUM = 4
PREFIXES = {
    "deepseek": [f"model.layers.{DEPTH + i}." for i in range(NUM)],
    "mimo": [f"model.mtp_layers.{i}." for i in range(NUM)],
}
KEY = {"num_nextn_predict_layers": NUM}


def module_tensors(name: str, module: int) -> dict[str, Tensor]:
    """Other weights in each module: the first one's, moved on."""
    first, own = MAKERS[name].prefix, PREFIXES[name][module]
    return {k.replace(first, own): v.roll(3 * module, 0) for k, v in tensors_of(name).items()}


def folder(path: Path, name: str, num: int = NUM) -> Path:
    tensors = {k: v for i in range(num) for k, v in module_tensors(name, i).items()}
    tensors["model.embed_tokens.weight"] = torch.ones(tiny.VOCAB, llama().config.hidden_size)
    return write(path, tensors, config_of(name) | KEY)


@cache
def chain(name: str) -> MtpDrafter:
    return MtpDrafter(folder(tiny.root() / f"modules-{name}", name), llama())


def plain_probs(name: str, length: int = LENGTH) -> Tensor:
    """[K, V]: module k over all entries, on what the one before made of the same positions."""
    maker, found = MAKERS[name], []
    written = torch.cat([text()[: length + 1], DRAFTS])
    states = features((DEPTH,))[:length]
    for module, prefix in enumerate(PREFIXES[name]):
        weights = module_tensors(name, module)
        embed, head = llama().embed, llama().head_weight
        if maker.has_own_head:
            embed = weights[f"{prefix}embed_tokens.weight"]
            head = weights[f"{prefix}shared_head.head.weight"]
        tokens = written[module + 1 : module + 1 + length]
        parts = [
            plain.rms(embed[tokens], weights[f"{prefix}{maker.token_norm}.weight"]),
            plain.rms(states, weights[f"{prefix}{maker.hidden_norm}.weight"]),
        ]
        order = parts[::-1] if maker.hidden_first else parts
        x = torch.cat(order, -1) @ weights[f"{prefix}{maker.project}.weight"].T
        normed = plain.rms(x, weights[f"{prefix}input_layernorm.weight"])
        x = x + attention(normed, weights, f"{prefix}self_attn.")
        normed = plain.rms(x, weights[f"{prefix}post_attention_layernorm.weight"])
        out = x + plain.mlp(normed, weights, f"{prefix}mlp.")
        read = plain.rms(out, weights[f"{prefix}{maker.final_norm}.weight"])
        found.append(read[-1:] @ head.T)
        states = read if maker.feeds_normed else out
    return torch.cat(found).softmax(-1)


@pytest.mark.parametrize("name", PREFIXES)
def test_each_slot_is_its_modules(name: str) -> None:
    """The context comes in two parts, so what waits for tokens is taken up again."""
    drafter = chain(name)
    path = tiny.root() / f"modules-{name}"
    check_drafter_files(path, read_drafter_config(path, MTP))
    assert drafter.spec.max_gamma == NUM and not drafter.spec.can_branch
    found = probs_of(drafter, features((DEPTH,)), DRAFTS)
    assert (found - plain_probs(name)).abs().max() < 1e-4
    assert found.std(0).max() > 0.01


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_texts_shorter_than_the_chain(length: int) -> None:
    """Module k has no committed entry before k tokens are known. One token at a time."""
    drafter, seen, tokens = chain("deepseek"), features((DEPTH,)), text()
    drafter.allocate(1, 32)
    with torch.inference_mode():
        for place in range(length):
            part = (tokens[place : place + 1], tokens[place + 1 : place + 2])
            drafter.extend(ContextUpdate((0,), (place,), (1,), *part, seen[place : place + 1]))
        batch = DraftBatch(
            (0,),
            (length,),
            tokens[length : length + 1],
            (NUM,),
            SamplingParams(),
            torch.zeros(1, NUM, dtype=torch.float64),
            DRAFTS[None],
        )
        for _ in range(2):
            probs = drafter.propose(batch).probs
            assert probs is not None
            assert (probs[0] - plain_probs("deepseek", length)).abs().max() < 1e-4


@pytest.mark.parametrize("concurrency", [1, 5])
@pytest.mark.parametrize("gamma", [1, NUM])
def test_greedy_output_equals_the_baseline(gamma: int, concurrency: int) -> None:
    requests = tiny.requests(5)
    plainly = tiny.serve(requests, None, temperature=0.0, model=llama())
    result = tiny.serve(requests, chain("mimo"), gamma, concurrency, 0.0, model=llama())
    check = same_outputs_check("greedy", plainly, result)
    assert check.is_passed, check.detail


def test_sampled_texts_have_the_targets_law() -> None:
    requests, sampling = tiny.requests(100, 12), SamplingParams(0.8)
    result = tiny.serve(requests, chain("deepseek"), 3, 100, 0.8, model=llama())
    texts = [(one, tiny.outputs(result)[one.request_id]) for one in requests]
    check = emitted_law_check(llama(), texts, sampling, 3)
    assert check.is_passed, check.detail
    assert any(cycle.num_accepted for cycle in result.cycles)


def test_a_module_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"lacks the tensor 'model.layers.{DEPTH + 3}\."):
        MtpDrafter(folder(tmp_path, "deepseek", NUM - 1), llama())


def test_a_tree_of_several_modules_is_refused() -> None:
    batch = DraftBatch(
        (0,), (1,), torch.tensor([3]), (1,), SamplingParams(), torch.zeros(1, 1), None
    )
    with pytest.raises(UsageError, match="several modules drafts chains only"):
        chain("mimo").branch(batch)
