"""A drafter must score forced tokens as it would have drawn them; who does not is told how."""

from dataclasses import replace

import pytest

from dspark_bench.core.types import DraftBatch, Proposal, SamplingParams
from dspark_bench.engine.forced_contract import forced_contract
from tests import tiny
from tests.engine.lookup import LookupDrafter
from tests.engine.test_emitted_law import Wrapped

TEXTS = [(request, request.prompt_tokens[-1:]) for request in tiny.requests(3, 8)]


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_every_kind_keeps_it(name: str) -> None:
    found = forced_contract(tiny.target(), tiny.drafter(name), TEXTS, 4, SamplingParams(0.7))
    assert found.is_passed, found.detail


def test_a_look_up_that_keeps_its_own_probabilities_keeps_it() -> None:
    drafter = LookupDrafter(tiny.target())
    assert forced_contract(tiny.target(), drafter, TEXTS, 4, SamplingParams()).is_passed


def test_claiming_the_forced_token_breaks_it() -> None:
    drafter = LookupDrafter(tiny.target(), claims_forced=True)
    found = forced_contract(tiny.target(), drafter, TEXTS, 4, SamplingParams())
    assert not found.is_passed
    assert "LookupDrafter.propose lets batch.forced change the probs of the first" in found.detail


class Forgetful(Wrapped):
    """Scores forced tokens by a flat law."""

    def propose(self, batch: DraftBatch) -> Proposal:
        drafted = self.inner.propose(batch)
        if batch.forced is None or drafted.probs is None:
            return drafted
        return replace(drafted, probs=drafted.probs.new_full(drafted.probs.shape, 1 / tiny.VOCAB))


class Stubborn(Wrapped):
    """Draws its own tokens whatever is forced."""

    def propose(self, batch: DraftBatch) -> Proposal:
        return self.inner.propose(replace(batch, forced=None))


class Deaf(Wrapped):
    """Gives the forced tokens back, with the probabilities along its own."""

    def propose(self, batch: DraftBatch) -> Proposal:
        drafted = self.inner.propose(replace(batch, forced=None))
        if batch.forced is None:
            return drafted
        return replace(drafted, token_ids=batch.forced)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Forgetful, "other probs when batch.forced holds"),
        (Stubborn, "drew tokens of its own"),
        (Deaf, "probs of a later slot after tokens of its own"),
    ],
)
def test_what_is_broken_is_named(kind: type[Wrapped], said: str) -> None:
    drafter = kind(tiny.drafter("semi_ar_vanilla"))
    found = forced_contract(tiny.target(), drafter, TEXTS, 4, SamplingParams())
    assert not found.is_passed
    assert said in found.detail
