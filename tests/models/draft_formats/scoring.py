"""A drafter's probabilities for given drafts, from features that transformers computed."""

from functools import cache

import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import ContextUpdate, DraftBatch, Proposal, SamplingParams
from tests import tiny
from tests.tiny_formats import random_llama

LENGTH = 11
"""Of the text before the anchor."""


def text() -> Tensor:
    """[LENGTH + 1], the anchor last."""
    return torch.randint(1, tiny.VOCAB, (LENGTH + 1,), generator=torch.Generator().manual_seed(3))


@cache
def _hidden_states() -> tuple[Tensor, ...]:
    with torch.inference_mode():
        found = random_llama()(text()[None, :LENGTH], output_hidden_states=True).hidden_states
    return tuple(layer[0] for layer in found)


def features(layers: tuple[int, ...]) -> Tensor:
    """transformers' hidden states before these layers, side by side."""
    return torch.cat([_hidden_states()[layer] for layer in layers], -1)


def proposal_of(drafter: Drafter, seen: Tensor, drafts: Tensor) -> Proposal:
    """What it makes of forced drafts [K], the context fed in two parts, beside a shorter draft of
    another request.
    """
    tokens = text()
    with torch.inference_mode():
        drafter.allocate(3, 64)
        for row in (1, 2):
            for start, end in ((0, 4), (4, LENGTH)):
                following = tokens[start + 1 : end + 1]
                part = (tokens[start:end], following, seen[start:end])
                drafter.extend(ContextUpdate((row,), (start,), (end - start,), *part))
        width = len(drafts)
        uniform = torch.zeros(2, width, dtype=torch.float64)
        batch = DraftBatch(
            (2, 1),
            (LENGTH, LENGTH),
            tokens[-1:].repeat(2),
            (1, width),
            SamplingParams(),
            uniform,
            drafts.repeat(2, 1),
        )
        return drafter.propose(batch)


def probs_of(drafter: Drafter, seen: Tensor, drafts: Tensor) -> Tensor:
    """[K, V] of each slot."""
    probs = proposal_of(drafter, seen, drafts).probs
    assert probs is not None
    return probs[1]
