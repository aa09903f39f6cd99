"""Drafts that are shorter than was asked for: what a cycle verifies, and how they are filled up."""

import torch

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal, SamplingParams
from dspark_bench.drafters.ngram import NgramDrafter
from dspark_bench.engine.short_drafts import always_full, settle
from dspark_bench.engine.surface import LengthCycle
from tests import tiny


class ShortDrafter:
    """Finds as many tokens as `found` says for each row, drawn from a uniform law or certain."""

    def __init__(self, found: dict[int, int], draws: bool) -> None:
        self._found, self._draws = found, draws
        self.spec = DrafterSpec("short", None, (), has_confidence=False, falls_short=True)

    def allocate(self, num_rows: int, max_len: int) -> None:
        pass

    def extend(self, update: ContextUpdate) -> None:
        pass

    def propose(self, batch: DraftBatch) -> Proposal:
        pairs = zip(batch.rows, batch.draft_lens, strict=True)
        lens = tuple(min(self._found[row], most) for row, most in pairs)
        tokens = (batch.uniform * tiny.VOCAB).long()
        if not self._draws:
            return Proposal(tokens, None, None, lens, tokens)
        probs = torch.full((*tokens.shape, tiny.VOCAB), 1 / tiny.VOCAB)
        return Proposal(tokens, None if batch.sampling.is_greedy else probs, None, lens)


def test_full_drafts_stay_as_they_are() -> None:
    proposal = Proposal(torch.zeros(2, 3).long(), None, None)
    assert settle(proposal, [3, 3, 0]) == (proposal, [3, 3, 0])
    assert settle(None, [0, 0]) == (None, [0, 0])


def test_slots_that_nobody_fills_are_cut() -> None:
    tokens, probs = torch.arange(6).view(2, 3), torch.rand(2, 3, 5)
    proposal = Proposal(tokens, probs, torch.rand(2, 3), (0, 2))
    found, lens = settle(proposal, [3, 3, 0])
    assert found is not None and found.probs is not None and found.confidence is not None
    assert list(lens) == [0, 2, 0]
    assert found.token_ids.tolist() == [[0, 1], [3, 4]]
    assert torch.equal(found.probs, probs[:, :2]) and found.confidence.shape == (2, 2)


def test_nothing_found_is_no_proposal() -> None:
    proposal = Proposal(torch.zeros(2, 3).long(), None, None, (0, 0))
    found, lens = settle(proposal, [3, 3, 0, 0])
    assert found is None and list(lens) == [0, 0, 0, 0]


def test_a_cycle_verifies_what_there_is() -> None:
    """Rows that find 0, 1 and 4 tokens of 3; records say so, and output keeps its law: greedy."""
    for draws in (True, False):
        served = tiny.requests(3)
        drafting = ShortDrafter({0: 0, 1: 1, 2: 4}, draws)
        plain = tiny.outputs(tiny.serve(served, None, temperature=0.0))
        found = tiny.serve(served, drafting, 3, concurrency=3, temperature=0.0)
        assert tiny.outputs(found) == plain
        by_request = {
            request.request_id: {c.num_drafted for c in found.cycles if not c.is_prefill
                                 and c.request_id == request.request_id}
            for request in served
        }  # fmt: skip
        assert by_request == {0: {0}, 1: {1}, 2: {3}}
        sampled = tiny.serve(served, drafting, 3, concurrency=3)
        for cycle in (c for c in sampled.cycles if not c.is_prefill):
            assert cycle.verify_len <= cycle.num_drafted == {0: 0, 1: 1, 2: 3}[cycle.request_id]
            assert len(cycle.expected_acceptance) == cycle.verify_len


def test_filled_drafts_have_the_length_that_was_asked_for_and_stay_exact() -> None:
    served = tiny.requests(4)
    drafting = always_full(NgramDrafter(tiny.target(), 1, 3))
    assert drafting is not None
    plain = tiny.outputs(tiny.serve(served, None, temperature=0.0))
    lengths = LengthCycle((0, 1, 2, 4))
    found = tiny.serve(served, drafting, 4, 2, temperature=0.0, scheduler=lengths)
    assert tiny.outputs(found) == plain
    assert {c.num_drafted for c in found.cycles} == {0, 1, 2, 4}
    drawn = always_full(ShortDrafter({0: 1}, draws=True))
    assert drawn is not None
    batch = DraftBatch(
        (0,), (0,), torch.tensor([7]), (3,), SamplingParams(), torch.zeros(1, 3).double()
    )
    assert drawn.propose(batch).token_ids.tolist() == [[0, 7, 7]]


def test_drafters_that_never_fall_short_are_not_wrapped() -> None:
    drafting = tiny.drafter("parallel")
    assert always_full(drafting) is drafting
    assert always_full(None) is None
