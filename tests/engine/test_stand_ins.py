"""Confidences that stand in for a head's: known before the token, so nothing is anticipated."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter, Scheduler
from dspark_bench.core.random_streams import Floats, Ints
from dspark_bench.core.types import (
    LARGEST_PROBABILITY,
    ContextUpdate,
    DraftBatch,
    DrafterSpec,
    Proposal,
    Request,
    SamplingParams,
)
from dspark_bench.drafters.slot_sampling import Certainty, draw
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.confidence_contract import confidence_contract
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.markov import MarkovTarget
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.global_argmax import GlobalArgmaxScheduler
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler
from dspark_bench.schedulers.threshold import ThresholdScheduler
from tests import tiny
from tests.engine.test_emitted_law import Wrapped
from tests.schedulers.test_schedulers import AsItIs, Linear

START, NUM = 2, 4_000
TEXTS = [(request, request.prompt_tokens[-1:]) for request in tiny.requests(3, 8)]
TARGET = torch.tensor([[0.7, 0.3, 0.0], [0.7, 0.3, 0.0], [0.0, 1.0, 0.0]])
"""The paper's Appendix A behind token 1, which is what every request starts with."""


class LawDrafter:
    """Draws from stated laws [V, V], with the stand-in that every drafter without a head has."""

    def __init__(self, law: Tensor) -> None:
        self._logits = law.log()
        self.spec = DrafterSpec("law", 8, (), True, confidence_kind=LARGEST_PROBABILITY)

    def allocate(self, num_rows: int, max_len: int) -> None:
        pass

    def extend(self, update: ContextUpdate) -> None:
        pass

    def propose(self, batch: DraftBatch) -> Proposal:
        previous, tokens, laws = batch.anchors, [], []
        stand_in = Certainty(batch)
        for slot in range(batch.num_slots):
            logits = self._logits[previous]
            forced = None if batch.forced is None else batch.forced[:, slot]
            previous, probs = draw(logits, batch.sampling, batch.uniform[:, slot], forced)
            assert probs is not None
            stand_in.note(slice(None), slot, logits, probs)
            tokens.append(previous)
            laws.append(probs)
        return Proposal(torch.stack(tokens, 1), torch.stack(laws, 1), stand_in.table)


class ReadsTheDraw(Wrapped):
    """Confidence is the draft probability of the drawn token itself."""

    def propose(self, batch: DraftBatch) -> Proposal:
        drafted = self.inner.propose(batch)
        assert drafted.probs is not None
        own = drafted.probs.gather(-1, drafted.token_ids.unsqueeze(-1)).squeeze(-1)
        return replace(drafted, confidence=own)


class Stairs(Linear):
    """No draft costs 1, any number of them 1.8 in all: one alone does not pay, two may."""

    def step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        return num_requests + 0.8 * (num_tokens > num_requests)

    convex_step_s = step_s


def share_of_first(drafter: Drafter, scheduler: Scheduler) -> float:
    """How often token 0 is emitted behind token 1."""
    engine = Engine(
        MarkovTarget(TARGET),
        drafter,
        scheduler,
        ExactAcceptance(),
        SamplingParams(),
        2,
        EngineConfig(512, 16),
        lambda: 0.0,
    )
    requests = [Request(i, str(i), "", (START,), 2) for i in range(NUM)]
    outputs = [r.output_tokens for r in engine.run(requests, ClosedLoad(512), 3).requests]
    assert all(output[0] == 1 for output in outputs)
    return sum(output[1] == 0 for output in outputs) / NUM


class Alone:
    """A scheduler that is asked about each request by itself."""

    def __init__(self, inner: Scheduler) -> None:
        self._inner, self.spec = inner, replace(inner.spec, exploration_period=0)

    def plan_draft(self, context):  # type: ignore[no-untyped-def]
        return [context.gamma] * len(context.request_ids)

    def plan_verify(self, context, lens, confidence):  # type: ignore[no-untyped-def]
        one = replace(context, request_ids=(0,), cycles=(1,), num_requests=1)
        pairs = zip(lens, confidence, strict=True)
        return [self._inner.plan_verify(one, [n], row[None])[0] for n, row in pairs]

    def observe(self, records: Sequence[object]) -> None:
        pass


APPENDIX_A = torch.tensor([[0.98, 0.02, 0.0], [0.5, 0.5, 0.0], [0.3, 0.3, 0.4]])
"""Whoever drew token 0 is sure of what comes next: later confidences tell the draw."""


@pytest.mark.parametrize(
    "scheduler",
    [
        HardwareAwareScheduler(Stairs(0, 0), AsItIs()),
        HardwareAwareScheduler(Linear(2.0, 0.5), AsItIs()),
        ThresholdScheduler(AsItIs(), 0.5),
        ThresholdScheduler(AsItIs(), 0.6),
    ],
)
def test_the_appendix_a_example_keeps_its_law(scheduler: Scheduler) -> None:
    assert share_of_first(LawDrafter(APPENDIX_A), Alone(scheduler)) == pytest.approx(0.7, abs=0.03)


def test_a_retrospective_search_leans_on_the_same_stand_in() -> None:
    """Token 0 is always verified, and stands; token 1 never is: 0.5 + 0.5 * 0.7."""
    scheduler = Alone(GlobalArgmaxScheduler(Stairs(0, 0), AsItIs()))
    assert share_of_first(LawDrafter(APPENDIX_A), scheduler) == pytest.approx(0.85, abs=0.03)


def test_a_confidence_that_reads_the_drawn_token_is_biased() -> None:
    """Token 1, drawn with 0.4, is never verified: 0.6 + 0.4 * 0.7."""
    law = torch.tensor([[0.98, 0.02, 0.0], [0.6, 0.4, 0.0], [0.3, 0.3, 0.4]])
    blind = Alone(ThresholdScheduler(AsItIs(), 0.5))
    assert share_of_first(LawDrafter(law), blind) == pytest.approx(0.7, abs=0.03)
    reading = ReadsTheDraw(LawDrafter(law))
    assert share_of_first(reading, blind) == pytest.approx(0.88, abs=0.03)


@pytest.mark.parametrize("name", [*tiny.DRAFTERS, "medusa", "hydra", "mtp"])
def test_confidences_of_every_kind_are_blind(name: str) -> None:
    drafter = tiny.drafter(name)
    found = confidence_contract(tiny.target(), drafter, TEXTS, 4, SamplingParams(0.7))
    assert found.is_passed and "in 3 drafts" in found.detail, found.detail


def test_one_that_reads_the_drawn_token_is_named() -> None:
    reading = ReadsTheDraw(tiny.drafter("medusa"))
    found = confidence_contract(tiny.target(), reading, TEXTS, 4, SamplingParams())
    assert not found.is_passed
    assert "ReadsTheDraw.propose gives slot 1 another confidence when its own token" in found.detail


def test_one_that_keeps_silent_is_named() -> None:
    class Silent(Wrapped):
        def propose(self, batch: DraftBatch) -> Proposal:
            return replace(self.inner.propose(batch), confidence=None)

    found = confidence_contract(
        tiny.target(), Silent(tiny.drafter("medusa")), TEXTS, 4, SamplingParams()
    )
    assert not found.is_passed and "gave no confidence" in found.detail
