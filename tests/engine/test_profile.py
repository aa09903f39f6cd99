"""Costs at batch 1 of a machine whose costs are known, and whose cycles all differ."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.engine.profile import MeasuredCosts, profile_costs
from tests.cycles import cycle_record

PROMPTS = [Request(i, str(i), "", (1, 2, 3), 48) for i in range(5)]
PACES = (1.0, 1.0, 0.1, 30.0)
"""Two cycles in four take what they cost; the median of five prompts' is that."""


def serve(gamma: int, requests: Sequence[Request], seed: int) -> RunResult:
    """A prompt's cycle, then one of every pace. Stages differ, each by its own factor of ten."""
    result = RunResult()
    for request in requests:
        for cycle, pace in enumerate((1.0, *PACES)):
            is_prompt = cycle == 0
            result.cycles.append(
                cycle_record(
                    cycle=cycle,
                    is_prefill=is_prompt,
                    has_prefill=is_prompt,
                    num_drafted=gamma,
                    verify_len=gamma,
                    t_draft_s=(70.0 if is_prompt else 5.0 * pace) * (gamma + 1) * (gamma > 0),
                    t_schedule_s=0.5 * pace,
                    t_verify_s=(900.0 if is_prompt else 10.0 * pace) * (gamma + 1),
                    t_accept_s=0.25 * pace,
                    t_engine_s=0.125 * pace,
                )
            )
        assert request.max_new_tokens == 32
    return result


def measure(gammas: Sequence[int] = (2, 4)) -> MeasuredCosts:
    return profile_costs(serve, PROMPTS, gammas, seed=0)


def test_costs_are_medians_of_cycles_that_read_no_prompt() -> None:
    found = measure()
    assert found.step_s == pytest.approx(10.875)
    assert [found.verify_s[width] for width in (0, 2, 4)] == pytest.approx([10.0, 30.0, 50.0])
    assert [found.draft_s[width] for width in (0, 2, 4)] == pytest.approx([0.0, 15.0, 25.0])
    assert [found.overhead_s[width] for width in (0, 2, 4)] == pytest.approx([0.875] * 3)
    assert all(math.isnan(found.verify_s[width]) for width in (1, 3, 5))


def test_a_prompts_cycle_is_priced_apart() -> None:
    """The baseline's whole cycle, and what the drafter adds to it: at 2 and 4 drafts in turn."""
    found = measure()
    assert found.prefill_s == pytest.approx(900.875)
    assert found.draft_prefill_s == pytest.approx(70.0 * (3 + 5) / 2)


def test_a_prompt_read_in_chunks_costs_their_sum() -> None:
    def in_chunks(gamma: int, requests: Sequence[Request], seed: int) -> RunResult:
        result = serve(gamma, requests, seed)
        first, *others = result.cycles
        return RunResult(result.requests, [replace(first, num_emitted=0)] * 2 + [first, *others])

    found = profile_costs(in_chunks, PROMPTS, (2, 4), seed=0)
    assert found.prefill_s == pytest.approx(3 * 900.875)
    assert found.draft_prefill_s == pytest.approx(3 * 70.0 * (3 + 5) / 2)
    assert found.step_s == pytest.approx(10.875)


def test_lengths_take_turns_forwards_and_backwards() -> None:
    order: list[int] = []

    def noting(gamma: int, requests: Sequence[Request], seed: int) -> RunResult:
        order.append(gamma)
        return serve(gamma, requests, seed)

    profile_costs(noting, PROMPTS[:3], (4, 2), seed=0)
    assert order == [0, 2, 4, 4, 2, 0, 0, 2, 4]


def test_short_answers_stay_short() -> None:
    asked: list[int] = []

    def noting(gamma: int, requests: Sequence[Request], seed: int) -> RunResult:
        asked.extend(request.max_new_tokens for request in requests)
        return serve(gamma, [replace(request, max_new_tokens=32) for request in requests], seed)

    profile_costs(noting, [replace(PROMPTS[0], max_new_tokens=7)], (1,), seed=0)
    assert asked == [7, 7]


def test_without_prompts_nothing_is_measured() -> None:
    with pytest.raises(ValueError, match="at least one prompt"):
        profile_costs(serve, [], (1,), seed=0)
