"""What stands in for a confidence head, of every drafter that has none."""

import pytest
import torch

from dspark_bench.core.types import (
    CONFIDENCE_HEAD,
    LARGEST_PROBABILITY,
    DraftBatch,
    Proposal,
    SamplingParams,
)
from dspark_bench.drafters.slot_sampling import Certainty, largest_probability
from tests import tiny
from tests.drafters.test_draws import FILTERED, LENS, PROMPTS, ROWS, context, ready

HEADLESS = ("eagle", "jetspec", "mtp", "medusa", "hydra")
HEADED = tuple(name for name in tiny.DRAFTERS if name not in HEADLESS)
PLACES = tuple(range(len(ROWS)))


def drafted(name: str, sampling: SamplingParams, wants_confidence: bool) -> Proposal:
    drafter = ready(name, PLACES)
    generator = torch.Generator().manual_seed(1)
    batch = DraftBatch(
        rows=ROWS,
        context_lens=PROMPTS,
        anchors=torch.tensor([context(place)[2] for place in PLACES]),
        draft_lens=LENS,
        sampling=sampling,
        uniform=torch.rand(len(ROWS), max(LENS), generator=generator, dtype=torch.float64),
        target_rows=ROWS,
        wants_confidence=wants_confidence,
    )
    with torch.inference_mode():
        return drafter.propose(batch)


@pytest.mark.parametrize("name", HEADLESS)
@pytest.mark.parametrize("sampling", [SamplingParams(), FILTERED])
def test_it_is_the_largest_probability_of_the_slot(name: str, sampling: SamplingParams) -> None:
    """Of what the token is drawn from, whatever was drawn; in every slot that is drafted."""
    proposal = drafted(name, sampling, wants_confidence=True)
    assert proposal.confidence is not None and proposal.probs is not None
    drawn = proposal.probs.gather(-1, proposal.token_ids.unsqueeze(-1)).squeeze(-1)
    num_other = 0
    for place, length in enumerate(LENS):
        expected = proposal.probs[place, :length].amax(-1)
        torch.testing.assert_close(proposal.confidence[place, :length], expected)
        num_other += int((expected > drawn[place, :length] + 1e-3).sum())
    assert num_other > 0


@pytest.mark.parametrize("name", HEADLESS)
def test_greedy_it_is_that_of_the_plain_distribution(name: str) -> None:
    """The first slot's distribution is the same whether it is drawn from or not."""
    greedy = drafted(name, SamplingParams(0.0), wants_confidence=True).confidence
    plain = drafted(name, SamplingParams(), wants_confidence=True).confidence
    assert greedy is not None and plain is not None
    torch.testing.assert_close(greedy[:, 0], plain[:, 0])
    assert bool((greedy > 0)[torch.arange(5) < torch.tensor(LENS).unsqueeze(1)].all())


@pytest.mark.parametrize("name", [*HEADED, *HEADLESS])
def test_nobody_pays_for_what_nobody_reads(name: str) -> None:
    """Without a reader there is no stand-in; a head speaks as before, reader or not."""
    spec = tiny.drafter(name).spec
    assert spec.has_confidence
    assert spec.confidence_kind == (LARGEST_PROBABILITY if name in HEADLESS else CONFIDENCE_HEAD)
    silent, asked = (drafted(name, SamplingParams(), wanted) for wanted in (False, True))
    assert torch.equal(silent.token_ids, asked.token_ids)
    assert silent.probs is not None and asked.probs is not None
    assert torch.equal(silent.probs, asked.probs)
    if name in HEADLESS:
        assert silent.confidence is None
    else:
        assert silent.confidence is not None and asked.confidence is not None
        assert torch.equal(silent.confidence, asked.confidence)


def test_by_hand() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    assert largest_probability(logits, None).tolist() == pytest.approx([0.5])
    assert largest_probability(logits, torch.tensor([[0.1, 0.0, 0.9]])).tolist() == [
        pytest.approx(0.9)
    ]


def test_slots_that_are_not_drafted_stay_zero() -> None:
    batch = DraftBatch(
        (0, 1),
        (3, 3),
        torch.tensor([1, 2]),
        (1, 2),
        SamplingParams(),
        torch.zeros(2, 2),
        wants_confidence=True,
    )
    stand_in = Certainty(batch)
    stand_in.note([0, 1], 0, torch.zeros(2, 4), None)
    stand_in.note([1], 1, torch.zeros(1, 2), None)
    assert stand_in.table is not None
    assert stand_in.table.tolist() == [[0.25, 0.0], [0.25, 0.5]]
