"""`acceptance=block` in the engine: the target's joint law, greedy outputs, records."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from dspark_bench.core.block_verification import BlockChances, BlockLaws, block_chances
from dspark_bench.core.protocols import Acceptance, Scheduler
from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.records import RunResult
from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import (
    PlanContext,
    Proposal,
    Request,
    SamplingParams,
    SchedulerSpec,
)
from dspark_bench.drafters.ngram import NgramDrafter
from dspark_bench.engine import block_acceptance
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.block_acceptance import BlockAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import P_MIN, chi_square, same_outputs_check
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget, count_sequences
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny

REQUESTS = tiny.requests(7)
BLOCK = BlockAcceptance()
NEAR = torch.tensor([[0.68, 0.30, 0.02], [0.25, 0.45, 0.30], [0.40, 0.20, 0.40]])
FAR = torch.tensor([[0.10, 0.30, 0.60], [0.70, 0.10, 0.20], [0.05, 0.90, 0.05]])
DRAFT = torch.tensor([[0.49, 0.49, 0.02], [0.45, 0.25, 0.30], [0.30, 0.50, 0.20]])


class Filtered(MarkovDrafter):
    """Draws from its law after the run's own filters, as real drafters do."""

    def __init__(self, law: torch.Tensor, sampling: SamplingParams) -> None:
        super().__init__(token_probs(law.log(), sampling), torch.tensor([0.9, 0.2, 0.55]), 4)


def run(
    law: torch.Tensor,
    sampling: SamplingParams,
    acceptance: Acceptance = BLOCK,
    scheduler: Scheduler | None = None,
    num_requests: int = 4_000,
) -> RunResult:
    engine = Engine(
        MarkovTarget(law),
        Filtered(DRAFT, sampling),
        scheduler or FixedScheduler(),
        acceptance,
        sampling,
        3,
        EngineConfig(2000, 32),
        lambda: 0.0,
    )
    requests = [Request(i, str(i), "", (0,), 5) for i in range(num_requests)]
    return engine.run(requests, ClosedLoad(2000), 5)


def law_p(law: torch.Tensor, sampling: SamplingParams, result: RunResult) -> float:
    counts = count_sequences([record.output_tokens for record in result.requests], 3, 4)
    expected = MarkovTarget(token_probs(law.log(), sampling)).joint(0, 4)
    assert not counts[expected == 0].any()
    return chi_square(counts[expected > 0], expected[expected > 0])[1]


@pytest.mark.parametrize("law", [NEAR, FAR], ids=["near", "far"])
@pytest.mark.parametrize(
    "sampling",
    [SamplingParams(), SamplingParams(0.6), SamplingParams(1.3, 0, 0.9), SamplingParams(top_k=2)],
    ids=["plain", "cold", "top-p", "top-k"],
)
def test_the_joint_law_is_the_targets(law: torch.Tensor, sampling: SamplingParams) -> None:
    result = run(law, sampling)
    assert any(cycle.is_rejected for cycle in result.cycles)
    assert law_p(law, sampling, result) >= P_MIN


class WhileConfident(FixedScheduler):
    """Verifies on while what stood before was confident: it never looks at a draft left out."""

    spec = SchedulerSpec("while_confident", is_selective=True)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: object
    ) -> list[int]:
        rows = torch.as_tensor(confidence)
        return [int((row > 0.3).int().cumprod(0).sum()) for row in rows]


def test_so_it_is_where_drafts_choose_how_many_are_verified() -> None:
    result = run(NEAR, SamplingParams(), scheduler=WhileConfident(), num_requests=8_000)
    assert {cycle.verify_len for cycle in result.cycles if not cycle.is_prefill} == {0, 1, 2, 3}
    assert law_p(NEAR, SamplingParams(), result) >= P_MIN


def test_the_joint_law_shows_the_chances_of_single_drafts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A prefix that goes on is judged by its own chance, without what follows."""

    def wrong(laws: BlockLaws) -> BlockChances:
        right = block_chances(laws)
        return replace(right, stands=right.joint[:, 1:])

    monkeypatch.setattr(block_acceptance, "block_chances", wrong)
    assert law_p(FAR, SamplingParams(), run(FAR, SamplingParams())) < P_MIN


def accepted(result: RunResult) -> float:
    cycles = [cycle for cycle in result.cycles if cycle.verify_len == 3]
    return sum(cycle.num_accepted for cycle in cycles) / len(cycles)


def test_it_accepts_more_than_draft_by_draft_and_says_what_it_expects() -> None:
    block = run(NEAR, SamplingParams())
    assert accepted(block) > accepted(run(NEAR, SamplingParams(), ExactAcceptance())) + 0.02
    reached = [
        (cycle.expected_acceptance[slot], cycle.num_accepted > slot)
        for cycle in block.cycles
        for slot in range(min(cycle.verify_len, cycle.num_accepted + 1))
    ]
    said, stood = (sum(column) / len(reached) for column in zip(*reached, strict=True))
    assert said == pytest.approx(stood, abs=0.015)


@pytest.mark.parametrize("name", ["parallel", "ar", "semi_ar_vanilla"])
@pytest.mark.parametrize("concurrency", [1, 5])
def test_greedy_output_equals_the_baseline(name: str, concurrency: int) -> None:
    plain = tiny.serve(REQUESTS, None, temperature=0.0)
    found = tiny.serve(REQUESTS, tiny.drafter(name), 4, concurrency, 0.0, acceptance=BLOCK)
    assert same_outputs_check("greedy", plain, found).is_passed


def test_sampled_tokens_do_not_depend_on_the_batch() -> None:
    alone, together = (
        tiny.outputs(tiny.serve(REQUESTS, tiny.drafter("semi_ar_gated"), 4, size, acceptance=BLOCK))
        for size in (1, 5)
    )
    assert alone == together


def test_certain_drafts_keep_the_law() -> None:
    prompt = (1, 0, 2, 0, 0, 1, 1, 2, 2, 1, 0, 1, 0)
    target = MarkovTarget(NEAR)
    engine = Engine(
        target,
        NgramDrafter(target, 1, 3),
        FixedScheduler(),
        BLOCK,
        SamplingParams(),
        3,
        EngineConfig(1024, 32),
        lambda: 0.0,
    )
    requests = [Request(i, str(i), "", prompt, 4) for i in range(5_000)]
    result = engine.run(requests, ClosedLoad(1024), 3)
    counts = count_sequences([record.output_tokens for record in result.requests], 3, 4)
    assert chi_square(counts, target.joint(prompt[-1], 4))[1] >= P_MIN


def test_requests_without_drafts_are_drawn_from_the_target() -> None:
    rows = torch.tensor([[0.2, 0.8, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    proposal = Proposal(torch.tensor([[1]]), torch.tensor([[[0.2, 0.8, 0.0]]]), None)
    uniform = torch.full((2, 1), 0.5, dtype=torch.float64).numpy()
    noise = CycleNoise(uniform, uniform, uniform[:, 0])
    verdict = BLOCK.decide(rows.log(), proposal, [1, 0], noise, SamplingParams()).verdict
    assert (verdict.num_accepted, verdict.bonus) == ([1, 0], [2, 0])
    assert verdict.paths is None and verdict.is_rejected == [False, False]
