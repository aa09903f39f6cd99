"""Exact drafters of every kind pass; those that lie about what they draft fail, tail included."""

import math
from dataclasses import replace

import pytest
import torch

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import (
    ContextUpdate,
    DraftBatch,
    Proposal,
    Request,
    SamplingParams,
)
from dspark_bench.engine.emitted_law import (
    FALSE_ALARM,
    emitted_law_check,
    tail_bound,
    target_law,
    token_class,
)
from dspark_bench.engine.exactness import CheckResult
from dspark_bench.engine.markov import MarkovTarget
from tests import tiny

GAMMA = 3
LENGTH = 16


class Wrapped:
    """A drafter of any kind that is lied about on its way to the engine."""

    def __init__(self, inner: Drafter) -> None:
        self.inner = inner
        self.spec = inner.spec

    def allocate(self, num_rows: int, max_len: int) -> None:
        self.inner.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        self.inner.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        return self.inner.propose(batch)


class AlwaysEndOfText(Wrapped):
    """Drafts end-of-text and claims to have drawn it from the model's own law."""

    def propose(self, batch: DraftBatch) -> Proposal:
        drafted = self.inner.propose(batch)
        return replace(drafted, token_ids=torch.full_like(drafted.token_ids, tiny.EOS))


class Misstating(Wrapped):
    """Draws from its law and claims a much flatter one."""

    def propose(self, batch: DraftBatch) -> Proposal:
        drafted = self.inner.propose(batch)
        assert drafted.probs is not None
        flat = drafted.probs.pow(0.25)
        return replace(drafted, probs=flat / flat.sum(-1, keepdim=True))


Texts = list[tuple[Request, tuple[int, ...]]]


def texts_of(drafter: Drafter | None, count: int = 60, temperature: float = 0.8) -> Texts:
    requests = tiny.requests(count, LENGTH)
    result = tiny.serve(requests, drafter, GAMMA, concurrency=count, temperature=temperature)
    outputs = tiny.outputs(result)
    return [(request, outputs[request.request_id]) for request in requests]


def judge(texts: Texts, temperature: float = 0.8) -> CheckResult:
    return emitted_law_check(tiny.target(), texts, SamplingParams(temperature), GAMMA)


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_every_kind_of_drafter_passes(name: str) -> None:
    result = judge(texts_of(tiny.drafter(name)))
    assert result.is_passed, result.detail


@pytest.mark.parametrize("name", tiny.DRAFTERS)
@pytest.mark.parametrize("lie", [AlwaysEndOfText, Misstating])
def test_every_kind_that_lies_fails(name: str, lie: type[Wrapped]) -> None:
    assert not judge(texts_of(lie(tiny.drafter(name)), 240)).is_passed


def test_end_of_text_is_named() -> None:
    result = judge(texts_of(AlwaysEndOfText(tiny.drafter("semi_ar_vanilla"))))
    assert result.detail.startswith("end-of-text ")


@pytest.mark.parametrize("place", [0, 2, LENGTH - 1, LENGTH - 1 - GAMMA])
def test_a_single_position_counts_by_its_number(place: int) -> None:
    """One token of each text is not a draw: the second and the last before the limit, say."""
    texts = [
        (request, (*tokens[:place], 5, *tokens[place + 1 :]))
        if len(tokens) > place
        else (request, tokens)
        for request, tokens in texts_of(None)
    ]
    found = judge(texts)
    assert not found.is_passed
    assert "after classes" not in found.detail


def test_a_text_of_another_temperature_fails_by_the_rank_of_its_tokens() -> None:
    result = judge(texts_of(None, temperature=1.2), temperature=0.8)
    assert not result.is_passed


def test_what_depends_on_the_tokens_before_is_seen() -> None:
    """Some tokens repeat the one before: no class is more frequent by itself."""
    law = torch.full((16, 16), 1 / 16)
    target = MarkovTarget(law)
    generator = torch.Generator().manual_seed(0)
    requests = [Request(i, str(i), "", (0,), 40) for i in range(70)]
    texts = []
    for request in requests:
        tokens = torch.randint(0, 16, (40,), generator=generator).tolist()
        for place in range(0, 40, 4):
            tokens[place + 1] = tokens[place]
        texts.append((request, tuple(tokens)))
    result = emitted_law_check(target, texts, SamplingParams(), GAMMA)
    assert not result.is_passed
    assert "after classes" in result.detail


def test_correct_texts_seldom_fail() -> None:
    """The bound allows one failure in 20,000 checks."""
    law = torch.tensor([[0.68, 0.30, 0.02], [0.25, 0.45, 0.30], [0.40, 0.20, 0.40]])
    target = MarkovTarget(law)
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        texts = []
        for index in range(10):
            tokens, last = [], 0
            for _ in range(12):
                last = int(torch.multinomial(law[last], 1, generator=generator))
                tokens.append(last)
            texts.append((Request(index, str(index), "", (0,), 12), tuple(tokens)))
        result = emitted_law_check(target, texts, SamplingParams(), GAMMA)
        assert result.is_passed, result.detail


def test_the_law_is_that_of_the_filtered_distribution() -> None:
    request = tiny.requests(1, 4)[0]
    sampling = SamplingParams(0.6, top_k=5, top_p=0.9)
    law = target_law(tiny.target(), request, (1, 2, 3), sampling)
    plain = target_law(tiny.target(), request, (1, 2, 3), SamplingParams())
    assert law.shape == (3, tiny.VOCAB)
    assert torch.allclose(law, token_probs(plain.log(), sampling), atol=1e-5)
    assert ((law > 0).sum(1) <= 5).all()


def test_a_token_outside_the_filters_fails() -> None:
    request = tiny.requests(1, LENGTH)[0]
    sampling = SamplingParams(1.0, top_k=1)
    law = target_law(tiny.target(), request, (1,), sampling)
    allowed = int(law[0].argmax())
    texts = [(request, ((allowed + 1) % tiny.VOCAB or 1,))] * 4
    result = emitted_law_check(tiny.target(), texts, sampling, GAMMA)
    assert not result.is_passed


@pytest.mark.parametrize(("num_outside", "is_passed"), [(0, True), (1, True), (10, False)])
def test_rounding_at_the_edge_of_the_filters_is_no_other_law(
    num_outside: int, is_passed: bool
) -> None:
    """Of 1,000 tokens one may have fallen out of top-p by its last digits, not one in a hundred."""
    target = MarkovTarget(torch.tensor([[0.6, 0.3, 0.1]] * 3))
    sampling = SamplingParams(top_p=0.85)  # keeps 0 and 1, with 2/3 and 1/3
    generator = torch.Generator().manual_seed(1)
    texts = []
    for index in range(50):
        tokens = (torch.rand(20, generator=generator) < 1 / 3).long().tolist()
        if index < num_outside:
            tokens[10] = 2
        texts.append((Request(index, str(index), "", (0,), 40), tuple(tokens)))
    found = emitted_law_check(target, texts, sampling, GAMMA)
    assert found.is_passed is is_passed, found.detail


def test_classes_of_tokens() -> None:
    found = token_class(torch.arange(10), (3, 8))
    assert found.tolist() == [1, 2, 3, 0, 5, 6, 7, 1, 0, 3]


def test_the_bound_by_hand() -> None:
    """V = 4, x = 4: h(1) = 2 ln 2 - 1."""
    assert tail_bound(4.0, 4.0) == pytest.approx(2 * math.exp(-4 * (2 * math.log(2) - 1)))
    assert tail_bound(-4.0, 4.0) == tail_bound(4.0, 4.0)
    assert tail_bound(0.0, 4.0) == 1.0
    assert tail_bound(0.5, 0.0) == 0.0


def test_nothing_emitted_is_no_evidence() -> None:
    assert not judge([]).is_passed
    assert FALSE_ALARM <= 1e-4
