"""Speculation must not change what is said: greedy equality, batch independence, fake drafters."""

from dataclasses import replace

import pytest
import torch

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.engine.exactness import same_outputs_check
from tests import tiny

REQUESTS = tiny.requests(7)


@pytest.fixture(scope="module")
def greedy_baseline() -> object:
    return tiny.serve(REQUESTS, None, temperature=0.0)


@pytest.mark.parametrize("name", tiny.DRAFTERS)
@pytest.mark.parametrize("concurrency", [1, 7])
@pytest.mark.parametrize("gamma", [1, 2, 4, 8, 16])
def test_greedy_output_equals_the_baseline(
    greedy_baseline, name: str, concurrency: int, gamma: int
) -> None:
    drafter = tiny.drafter(name)
    result = tiny.serve(REQUESTS, drafter, gamma, concurrency, temperature=0.0)
    check = same_outputs_check("greedy", greedy_baseline, result)
    assert check.is_passed, check.detail
    assert len(result.requests) == len(REQUESTS)


def test_greedy_check_sees_a_difference(greedy_baseline) -> None:
    record = greedy_baseline.requests[0]
    wrong = replace(record, output_tokens=(record.output_tokens[0] + 1, *record.output_tokens[1:]))
    other = replace(greedy_baseline, requests=[wrong, *greedy_baseline.requests[1:]])
    assert not same_outputs_check("greedy", greedy_baseline, other).is_passed


def test_a_difference_at_a_near_tie_is_counted_as_one(greedy_baseline) -> None:
    record, *others = greedy_baseline.requests
    margins, limits = (1e-6, *record.margins[1:]), (1e-3,) * len(record.margins)
    record = replace(record, margins=margins, tie_limits=limits)
    tied = replace(record, output_tokens=(record.output_tokens[0] + 1, *record.output_tokens[1:]))
    first = replace(greedy_baseline, requests=[record, *others])
    second = replace(greedy_baseline, requests=[tied, *others])
    check = same_outputs_check("greedy", first, second)
    assert check.is_passed and "1 near-ties" in check.detail and "1.0e-06" in check.detail


@pytest.mark.parametrize("name", ["none", *tiny.DRAFTERS])
def test_sampled_tokens_do_not_depend_on_the_batch(name: str) -> None:
    alone, together = (
        tiny.outputs(
            tiny.serve(REQUESTS, None if name == "none" else tiny.drafter(name), 4, concurrency)
        )
        for concurrency in (1, 5)
    )
    assert alone == together


def test_fewer_rows_than_users_queue_and_lose_nobody() -> None:
    wide = tiny.serve(REQUESTS, tiny.drafter("ar"), 4, concurrency=6)
    narrow = tiny.serve(REQUESTS, tiny.drafter("ar"), 4, concurrency=6, rows=2)
    assert sorted(tiny.outputs(narrow)) == sorted(tiny.outputs(wide))
    assert max(cycle.batch_size for cycle in narrow.cycles) == 2
    waits = [r.admitted_s - r.scheduled_s for r in narrow.requests]
    assert max(waits) > 0


class ScriptedDrafter:
    """Proposes, for each request, a fixed continuation (by its cache row)."""

    def __init__(self, script: dict[int, tuple[int, ...]], offset: int) -> None:
        self.spec = DrafterSpec("scripted", 16, (), False)
        self._script = script
        self._offset = offset

    def allocate(self, num_rows: int, max_len: int) -> None:
        pass

    def extend(self, update: ContextUpdate) -> None:
        pass

    def propose(self, batch: DraftBatch) -> Proposal:
        rows = []
        for row, context in zip(batch.rows, batch.context_lens, strict=True):
            known = self._script[row]
            rows.append(
                [
                    (known[min(context + 1 + k, len(known) - 1)] + self._offset) % tiny.VOCAB
                    for k in range(batch.num_slots)
                ]
            )
        tokens = torch.tensor(rows)
        probs = torch.nn.functional.one_hot(tokens, tiny.VOCAB).float()
        return Proposal(tokens, None if batch.sampling.is_greedy else probs, None)


@pytest.mark.parametrize("gamma", [1, 2, 4, 8, 16])
def test_always_right_and_always_wrong_drafters_bound_tau(greedy_baseline, gamma: int) -> None:
    request = next(
        r for r in REQUESTS if greedy_baseline.requests[r.request_id].finish_reason == "length"
    )
    output = tiny.outputs(greedy_baseline)[request.request_id]
    script = {0: (*request.prompt_tokens, *output)}
    for offset, tau in ((0, gamma + 1), (1, 1)):
        result = tiny.serve([request], ScriptedDrafter(script, offset), gamma, temperature=0.0)
        assert tiny.outputs(result)[request.request_id] == output
        whole = [c for c in result.cycles if not c.is_prefill][: 23 // (gamma + 1)]
        assert all(1 + cycle.num_accepted == tau for cycle in whole)
        assert all(cycle.is_rejected == (offset == 1) for cycle in whole)


def test_engine_state_from_one_run_does_not_leak_into_the_next() -> None:
    drafter = tiny.drafter("semi_ar_vanilla")
    once = tiny.outputs(tiny.serve(REQUESTS, drafter, 4, 3, seed=9))
    again = tiny.outputs(tiny.serve(list(reversed(REQUESTS)), drafter, 4, 3, seed=9))
    assert sum(once[i] == again[i] for i in once) >= len(once) - 1
