"""The distribution test passes exact samplers and catches the classical ways of being inexact."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from dspark_bench.core.clock import device_clock
from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.random_streams import CycleNoise, Floats, cycle_noise
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import (
    PlanContext,
    Proposal,
    Recorded,
    Request,
    SamplingParams,
    SchedulerSpec,
)
from dspark_bench.costs.profiled import ProfiledCost
from dspark_bench.engine.acceptance import ExactAcceptance, ExactDecision
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import (
    chi_square,
    distribution_check,
    non_anticipation_check,
    tilt_check,
)
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.batch_size import BatchSizeScheduler
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.schedulers.global_argmax import GlobalArgmaxScheduler
from dspark_bench.schedulers.goodput import GoodputScheduler
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler
from dspark_bench.schedulers.hardware_aware_async import HardwareAwareAsyncScheduler
from dspark_bench.schedulers.threshold import ThresholdScheduler
from tests import tiny

NUM_REQUESTS = 16_000
"""Faults of a kind that shows at once: the weakest, too generous an acceptance, adds 250 to a
chi-square of 80 degrees of freedom, six standard deviations beyond where the check fails.
"""
NUM_SUBTLE = 30_000
"""For noise keyed by position, whose excess of 170 here is as far beyond as four of them."""
NUM_SOUND = 8_000
"""For what is to pass: too generous an acceptance adds 125 to the same chi-square."""
LENGTH = 4


class RetrospectiveScheduler(FixedScheduler):
    """Appendix A's mistake: what slot 2's confidence reveals of x_1 decides whether x_1 counts."""

    spec = SchedulerSpec("retrospective", is_non_anticipating=False, is_selective=True)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        assert confidence is not None
        return [n if row[1] > 0.5 else 0 for n, row in zip(draft_lens, confidence, strict=True)]


class CausalScheduler(FixedScheduler):
    """Stops before the first slot whose own confidence (from the token before) is low."""

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        assert confidence is not None
        return np.cumprod(confidence > 0.5, axis=1).sum(1).tolist()


class LaggedScheduler(FixedScheduler):
    """Decides this cycle's first slot by last cycle's third confidence of the same request.

    Harmless with fresh noise. With noise keyed by position, after a rejection in slot 1 that
    confidence tells which token slot 1 is about to draw again.
    """

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        return [
            n if self._seen.get(i, 1.0) > 0.5 else 0
            for n, i in zip(draft_lens, context.request_ids, strict=True)
        ]

    def observe(self, records: Sequence[CycleRecord]) -> None:
        for record in records:
            if len(record.confidence) > 2:
                self._seen[record.request_id] = record.confidence[2]


class PositionKeyedEngine(Engine):
    """Noise keyed by position alone: a position drafted again meets the same numbers."""

    def _noise(self, states: Sequence[ActiveRequest]) -> CycleNoise:
        keys = np.array([state.key for state in states], dtype=np.uint64)
        fresh = super()._noise(states)
        drafts = [
            cycle_noise(
                keys, np.array([s.context_len + k for s in states], dtype=np.uint64), 1
            ).draft[:, 0]
            for k in range(self._gamma)
        ]
        return CycleNoise(np.stack(drafts, axis=1), fresh.accept, fresh.emit)


class GenerousAcceptance(ExactAcceptance):
    """Accepts a little too often: the tests must notice."""

    def decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        sampling: SamplingParams,
        recorded: Recorded | None = None,
    ) -> ExactDecision:
        easier = CycleNoise(noise.draft, noise.accept * 0.9, noise.emit)
        return super().decide(logits, proposal, verify_lens, easier, sampling)


def check(
    scheduler=None, acceptance=None, engine=Engine, gamma: int = 3, num_requests: int = NUM_REQUESTS
):
    def serve(target: MarkovTarget, drafter: MarkovDrafter, requests: list[Request], gamma: int):
        built = engine(
            target,
            drafter,
            scheduler or FixedScheduler(),
            acceptance or ExactAcceptance(),
            SamplingParams(),
            gamma,
            EngineConfig(1024, 16),
            device_clock(tiny.CPU),
        )
        return built.run(requests, ClosedLoad(1024), 3)

    return distribution_check(serve, num_requests, gamma, LENGTH)


@pytest.mark.parametrize("gamma", [1, 3])
def test_fixed_verification_has_the_targets_law(gamma: int) -> None:
    result = check(gamma=gamma, num_requests=NUM_SOUND)
    assert result.is_passed, result.detail


def test_causal_truncation_has_the_targets_law() -> None:
    result = check(CausalScheduler(), num_requests=NUM_SOUND)
    assert result.is_passed, result.detail


@pytest.mark.slow
def test_lagged_truncation_with_fresh_noise_has_the_targets_law() -> None:
    result = check(LaggedScheduler(), num_requests=NUM_SUBTLE)
    assert result.is_passed, result.detail


@pytest.mark.slow
def test_lagged_truncation_with_noise_keyed_by_position_is_caught() -> None:
    found = check(LaggedScheduler(), engine=PositionKeyedEngine, num_requests=NUM_SUBTLE)
    assert not found.is_passed


def test_noise_keyed_by_position_alone_is_harmless_without_a_scheduler() -> None:
    assert check(engine=PositionKeyedEngine).is_passed


def test_retrospective_truncation_is_caught() -> None:
    assert not check(RetrospectiveScheduler()).is_passed


class AsItIs:
    def calibrate(self, confidence: Floats) -> Floats:
        return confidence

    def observe(self, records: Sequence[CycleRecord]) -> None:
        pass


STAIRS = CostSurface(
    (1, 1024),
    (0, 1, 2),
    ((1.0, 1.95, 2.2), (1024.0, 1740.0, 1940.0)),
    (1,),
    ((0.0,),) * 2,
    (0, 0),
    (0, 0),
)
"""One draft hardly pays, two do: what the second promises decides about the first. A batch of many
costs less for every further draft, so confidences matter at every length."""


@pytest.mark.parametrize("name", ["hardware_aware", "async", "threshold", "goodput", "batch_size"])
def test_every_scheduler_that_promises_it_has_the_targets_law(name: str) -> None:
    """Drafts that reveal their tokens, costs that make every confidence matter."""
    cost = ProfiledCost(STAIRS)
    scheduler = {
        "hardware_aware": lambda: HardwareAwareScheduler(cost, AsItIs(), exploration_period=5),
        "async": lambda: HardwareAwareAsyncScheduler(cost, AsItIs(), exploration_period=5),
        "threshold": lambda: ThresholdScheduler(AsItIs(), 0.5),
        "goodput": lambda: GoodputScheduler(cost),
        "batch_size": lambda: BatchSizeScheduler([[1, 3], [512, 1]]),
    }[name]()
    result = check(scheduler, num_requests=NUM_SOUND)
    assert result.is_passed, result.detail


def appendix_a_share(scheduler: Scheduler) -> float:
    """Target 0.7/0.3, draft 0.5/0.5, one request at a time: how often the second token is 0."""
    laws = torch.tensor([[0.7, 0.3]]).expand(2, 2), torch.tensor([[0.5, 0.5]]).expand(2, 2)
    drafter = MarkovDrafter(laws[1], torch.tensor([0.9, 0.2]), 2)
    requests = [Request(i, str(i), "", (0,), 2) for i in range(1500)]
    target = MarkovTarget(laws[0])
    result = tiny.serve(
        requests, drafter, 2, concurrency=1, scheduler=scheduler, model=target, max_len=16
    )
    second = [record.output_tokens[1] for record in result.requests]
    return second.count(0) / len(second)


def test_appendix_a_with_the_schedulers_that_ship() -> None:
    """The same raw stairs: Algorithm 1 keeps the law, the retrospective search does not."""
    cost = ProfiledCost(STAIRS)
    causal = appendix_a_share(HardwareAwareScheduler(cost, AsItIs(), reserve=0.1))
    assert causal == pytest.approx(0.70, abs=0.048)
    assert appendix_a_share(GlobalArgmaxScheduler(cost, AsItIs())) > 0.75


def test_generous_acceptance_is_caught() -> None:
    assert not check(acceptance=GenerousAcceptance()).is_passed


def test_a_two_percent_shift_is_caught() -> None:
    """Sampling from a law that is off by 0.02 in one row fails at 40,000 requests."""
    law = torch.tensor([[0.68, 0.30, 0.02], [0.25, 0.45, 0.30], [0.40, 0.20, 0.40]])
    shifted = law + torch.tensor([[0.02, -0.02, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    generator = torch.Generator().manual_seed(0)
    wrong, right = (MarkovTarget(x).joint(0, LENGTH) for x in (shifted, law))
    drawn = torch.multinomial(wrong, 40_000, True, generator=generator)
    counts = drawn.bincount(minlength=right.numel()).double()
    assert chi_square(counts, right)[1] < 1e-4
    assert chi_square(counts, wrong)[1] > 1e-4


def test_chi_square_by_hand() -> None:
    statistic, p_value = chi_square(
        torch.tensor([30.0, 70.0], dtype=torch.float64), torch.tensor([0.5, 0.5])
    )
    assert statistic == pytest.approx(16.0)
    assert p_value == pytest.approx(6.334e-5, rel=1e-3)


def test_appendix_a_causal_gives_the_law_and_retrospective_does_not() -> None:
    """Target 0.7/0.3, draft 0.5/0.5: the paper's example, where retrospection gives 0.85/0.15."""
    laws = torch.tensor([[0.7, 0.3]]).expand(2, 2), torch.tensor([[0.5, 0.5]]).expand(2, 2)
    shares = []
    for scheduler in (CausalScheduler(), RetrospectiveScheduler()):
        drafter = MarkovDrafter(laws[1], torch.tensor([0.9, 0.2]), 2)
        requests = [Request(i, str(i), "", (0,), 2) for i in range(4_000)]
        result = tiny.serve(
            requests,
            drafter,
            2,
            concurrency=1024,
            scheduler=scheduler,
            model=MarkovTarget(laws[0]),
            max_len=16,
        )
        second = [record.output_tokens[1] for record in result.requests]
        shares.append(second.count(0) / len(second))
    assert shares[0] == pytest.approx(0.70, abs=0.036)
    assert shares[1] == pytest.approx(0.85, abs=0.036)


def test_non_anticipation_check_tells_causal_from_retrospective() -> None:
    assert non_anticipation_check(FixedScheduler, 4, 50, 0).is_passed
    assert non_anticipation_check(CausalScheduler, 4, 50, 0).is_passed
    assert not non_anticipation_check(RetrospectiveScheduler, 4, 50, 0).is_passed


@pytest.mark.parametrize("name", ["ar", "semi_ar_vanilla"])
def test_tilt_check_passes_real_drafters(name: str) -> None:
    requests = tiny.requests(24, 40)
    drafter = tiny.drafter(name)
    outputs = tiny.outputs(tiny.serve(requests, drafter, 4, concurrency=8))
    sequences = [(r, outputs[r.request_id]) for r in requests]
    result = tilt_check(tiny.target(), drafter, sequences, 4, SamplingParams())
    assert result.is_passed, result.detail


def test_tilt_check_catches_text_from_another_temperature() -> None:
    requests = tiny.requests(24, 40)
    drafter = tiny.drafter("ar")
    outputs = tiny.outputs(tiny.serve(requests, None, concurrency=8, temperature=0.8))
    sequences = [(r, outputs[r.request_id]) for r in requests]
    assert not tilt_check(tiny.target(), drafter, sequences, 4, SamplingParams()).is_passed
