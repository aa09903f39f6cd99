"""What drafters draw, and what they say they drew from: every kind, filtered, in ragged batches.

The checks know `core.sampling` and nothing of how a drafter works. A forced prefix must have the
probabilities that were reported when it was drawn; each token must be the sampler's answer to its
own uniform number; a request drafted in a ragged batch must get what it gets alone.
"""

import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.sampling import sample, token_probs
from dspark_bench.core.types import ContextUpdate, DraftBatch, Proposal, SamplingParams
from dspark_bench.drafters import slot_sampling
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.checkpoint import read_tensors, write_checkpoint
from tests import tiny

FILTERED = SamplingParams(temperature=0.6, top_k=5, top_p=0.93)
LENS = (2, 5, 1, 4, 5)
PROMPTS = (7, 3, 12, 5, 9)
ROWS = (3, 0, 4, 2, 1)


@cache
def context(place: int, layers: tuple[int, ...] = tiny.LAYERS) -> tuple[Tensor, Tensor, int]:
    """Committed tokens, the target's features for them and the anchor of one request."""
    tokens = torch.arange(PROMPTS[place]) * (place + 3) % (tiny.VOCAB - 1) + 1
    cache_ = tiny.target().new_cache(1, 32)
    with torch.inference_mode():
        plan = plan_attention([Span(0, 0, tokens.shape[0])], cache_)
        seen = tiny.target().forward(tokens, plan, cache_, None, layers)
    assert seen.features is not None
    return tokens, seen.features, 11 + 7 * place


def ready(name: str, places: tuple[int, ...], path: Path | None = None) -> Drafter:
    """A drafter that has absorbed the context of these requests, each in its row."""
    drafter = tiny.drafter(name, path)
    known = [context(place, drafter.spec.feature_layers) for place in places]
    with torch.inference_mode():
        drafter.allocate(len(ROWS), 32)
        drafter.extend(
            ContextUpdate(
                rows=tuple(ROWS[place] for place in places),
                starts=(0,) * len(places),
                counts=tuple(PROMPTS[place] for place in places),
                token_ids=torch.cat([tokens for tokens, _, _ in known]),
                next_token_ids=torch.cat(
                    [torch.cat([tokens[1:], torch.tensor([anchor])]) for tokens, _, anchor in known]
                ),
                features=torch.cat([features for _, features, _ in known]),
            )
        )
    return drafter


def uniforms() -> Tensor:
    """A number of its own for every slot [5, 5], all over [0, 1)."""
    return torch.rand(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def propose(
    drafter: Drafter,
    places: tuple[int, ...],
    lens: tuple[int, ...],
    sampling: SamplingParams,
    forced: Tensor | None = None,
) -> Proposal:
    with torch.inference_mode():
        return drafter.propose(
            DraftBatch(
                rows=tuple(ROWS[place] for place in places),
                context_lens=tuple(PROMPTS[place] for place in places),
                anchors=torch.tensor([context(place)[2] for place in places]),
                draft_lens=lens,
                sampling=sampling,
                uniform=uniforms()[list(places), : max(lens)],
                forced=forced,
            )
        )


def everyone(name: str, sampling: SamplingParams) -> Proposal:
    return propose(ready(name, (0, 1, 2, 3, 4)), (0, 1, 2, 3, 4), LENS, sampling)


def drafted_slots() -> list[tuple[int, int]]:
    return [(place, slot) for place, length in enumerate(LENS) for slot in range(length)]


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_each_token_is_the_samplers_answer_to_its_own_uniform(name: str) -> None:
    found = everyone(name, FILTERED)
    assert found.probs is not None
    for place, slot in drafted_slots():
        expected = sample(found.probs[place, slot : slot + 1], uniforms()[place, slot : slot + 1])
        assert found.token_ids[place, slot] == expected, (place, slot)


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_reported_probabilities_are_those_of_the_filtered_distribution(name: str) -> None:
    """The same drafts scored plainly: temperature, top-k and top-p of their log-probabilities give
    what was reported when they were drawn.
    """
    found = everyone(name, FILTERED)
    drafter = ready(name, (0, 1, 2, 3, 4))
    plain = propose(drafter, (0, 1, 2, 3, 4), LENS, SamplingParams(), forced=found.token_ids)
    assert found.probs is not None and plain.probs is not None
    kept = []
    for place, slot in drafted_slots():
        expected = token_probs(plain.probs[place, slot].log(), FILTERED)
        assert torch.allclose(found.probs[place, slot], expected, atol=1e-5), (place, slot)
        kept.append(int((found.probs[place, slot] > 0).sum()))
    assert max(kept) == FILTERED.top_k and min(kept) < FILTERED.top_k  # both filters had a say


@pytest.mark.parametrize("name", tiny.DRAFTERS)
@pytest.mark.parametrize("temperature", [0.0, 0.6])
def test_ragged_drafts_equal_drafts_made_alone(name: str, temperature: float) -> None:
    sampling = SamplingParams(temperature, FILTERED.top_k, FILTERED.top_p)
    together = everyone(name, sampling)
    for place, length in enumerate(LENS):
        alone = propose(ready(name, (place,)), (place,), (length,), sampling)
        assert torch.equal(together.token_ids[place, :length], alone.token_ids[0])
        if temperature > 0:
            assert together.probs is not None and alone.probs is not None
            ours = together.probs[place, :length]
            assert torch.allclose(ours, alone.probs[0], atol=1e-5)
        if alone.confidence is not None:
            assert together.confidence is not None
            assert torch.allclose(
                together.confidence[place, :length], alone.confidence[0], atol=1e-5
            )


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_requests_differ_enough_for_a_mix_up_to_show(name: str) -> None:
    """Or the tests above say nothing."""
    found = everyone(name, FILTERED)
    assert found.probs is not None
    distances = torch.cdist(found.probs[:, 0], found.probs[:, 0], p=1) + 2 * torch.eye(5)
    assert distances.min() > 0.05


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_a_drafters_own_embedding_and_head_are_used(name: str, tmp_path: Path) -> None:
    """A head whose rows are shifted by one token gives shifted first drafts; another embedding
    gives other ones.
    """
    plain = propose(ready(name, (0,)), (0,), (5,), SamplingParams()).probs
    content = read_tensors(tiny.drafter_dir(name), torch.float32, tiny.CPU)
    head = {"lm_head.weight": tiny.target().head_weight.roll(1, 0)}
    markov = "markov_head.markov_w2.weight"
    if markov in content:
        head[markov] = content[markov].roll(1, 0)
    shifted = with_tensors(name, tmp_path / "head", content | head)
    rolled = propose(ready(name, (0,), shifted), (0,), (5,), SamplingParams()).probs
    assert plain is not None and rolled is not None
    assert torch.allclose(rolled[0, 0], plain[0, 0].roll(1), atol=1e-5)
    assert not torch.allclose(rolled[0, 0], plain[0, 0], atol=1e-2)
    embedding = {"embed_tokens.weight": tiny.target().embed.flip(0)}
    other = with_tensors(name, tmp_path / "embedding", content | embedding)
    found = propose(ready(name, (0,), other), (0,), (5,), SamplingParams()).probs
    assert found is not None and not torch.allclose(found[0, 0], plain[0, 0], atol=1e-2)


def with_tensors(name: str, folder: Path, content: dict[str, Tensor]) -> Path:
    shutil.copytree(tiny.drafter_dir(name), folder)
    write_checkpoint(folder, content, torch.float32)
    return folder


def test_a_draft_is_drawn_by_the_samplers_own_rules() -> None:
    """The one place where all of them draw: hand-made scores of three tokens."""
    scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    uniform = torch.tensor([0.99, 0.0], dtype=torch.float64)
    tokens, probs = slot_sampling.draw(scores, SamplingParams(0.5, 2), uniform, None)
    assert probs is not None and tokens.tolist() == [1, 1]
    share = float(torch.sigmoid(torch.tensor(2.0)))
    assert probs[0].tolist() == pytest.approx([share, 1 - share, 0.0])
    tokens, probs = slot_sampling.draw(scores, SamplingParams(0.0), uniform, None)
    assert tokens.tolist() == [0, 2] and probs is None
