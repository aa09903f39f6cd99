"""Prompts that are read in chunks change nothing but when they are read."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dspark_bench.core.records import CycleRecord, RunResult
from dspark_bench.core.types import (
    ContextUpdate,
    DraftBatch,
    PlanContext,
    Proposal,
    Request,
    SchedulerSpec,
)
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.engine.forced_acceptance import ForcedAcceptance
from dspark_bench.engine.prompt_chunks import take_chunks
from dspark_bench.engine.replay_acceptance import ReplayAcceptance
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.target import TargetOutput
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny

REQUESTS = tiny.requests(7)
LONG = Request(5, "long", "test", tuple(1 + i % 50 for i in range(61)), 6)
SHORT = [Request(i, f"short{i}", "test", (i, 3, 5), 30) for i in (1, 2)]


def drafter(name: str):
    return None if name == "none" else tiny.drafter(name)


class Listener:
    """The tiny target, and every pass through it: token ids, plan and logits."""

    def __init__(self, kernels: Wanted = Wanted.AUTO) -> None:
        self._target = tiny.target(kernels=kernels)
        self.passes: list[tuple[Tensor, AttentionPlan, Tensor]] = []

    def __getattr__(self, name: str):
        return getattr(self._target, name)

    def forward(
        self,
        token_ids: Tensor,
        plan: AttentionPlan,
        cache: KVCache,
        logit_rows: Tensor | None = None,
        feature_layers: tuple[int, ...] = (),
    ) -> TargetOutput:
        output = self._target.forward(token_ids, plan, cache, logit_rows, feature_layers)
        self.passes.append((token_ids, plan, output.logits))
        return output


class Recorder:
    """A drafter, and everything that it is told of a row."""

    def __init__(self, inner) -> None:
        self._inner, self.spec = inner, inner.spec
        self.heard: dict[int, list[tuple[int, int, int, Tensor]]] = {}
        self.rows_drafted: list[int] = []

    def allocate(self, num_rows: int, max_len: int) -> None:
        self._inner.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        place = 0
        for row, start, count in zip(update.rows, update.starts, update.counts, strict=True):
            for i in range(count):
                token, following = update.token_ids[place], update.next_token_ids[place]
                heard = (start + i, int(token), int(following), update.features[place].clone())
                self.heard.setdefault(row, []).append(heard)
                place += 1
        self._inner.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        self.rows_drafted.extend(batch.rows)
        return self._inner.propose(batch)


@pytest.mark.parametrize("name", ["none", *tiny.DRAFTERS])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_outputs_and_margins_are_those_of_whole_prompts(name: str, temperature: float) -> None:
    """Greedy margins are differences of logits: equal to the last bit, or the logits are not."""
    whole = tiny.serve(REQUESTS, drafter(name), temperature=temperature)
    for concurrency, most in ((1, 7), (5, 1), (7, 16)):
        chunked = tiny.serve(
            REQUESTS, drafter(name), 4, concurrency, temperature, prefill_tokens=most
        )
        assert tiny.outputs(chunked) == tiny.outputs(whole)
        margins = {r.request_id: r.margins for r in whole.requests}
        assert {r.request_id: r.margins for r in chunked.requests} == margins


@pytest.mark.parametrize("name", ["none", "ar", "semi_ar_vanilla"])
def test_logits_have_the_bits_of_whole_prompts(name: str) -> None:
    logits = {}
    for most in (None, 1, 5, 60):
        model = Listener()
        tiny.serve([LONG], drafter(name), temperature=0.0, model=model, prefill_tokens=most)
        logits[most] = torch.cat([seen for _, _, seen in model.passes])
    assert logits[None].shape[0] >= LONG.max_new_tokens
    assert all(torch.equal(found, logits[None]) for found in logits.values())


@pytest.mark.parametrize("name", ["none", *tiny.DRAFTERS])
@pytest.mark.parametrize("most", [1, 5])
def test_on_torch_s_operations_the_tokens_are_the_same_within_the_margin(
    name: str, most: int
) -> None:
    model = tiny.target(kernels=Wanted.TORCH)
    whole = tiny.serve(REQUESTS, drafter(name), temperature=0.0, model=model)
    chunked = tiny.serve(
        REQUESTS, drafter(name), 4, 5, temperature=0.0, model=model, prefill_tokens=most
    )
    check = same_outputs_check("chunks", whole, chunked)
    assert check.is_passed, check.detail


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_a_drafter_hears_the_same_of_a_prompt_in_chunks(name: str) -> None:
    """Positions, tokens, the tokens behind them, and features, in order and to the bit."""
    heard = []
    for most in (None, 1, 7, 60):
        recorder = Recorder(tiny.drafter(name))
        tiny.serve([LONG], recorder, temperature=0.0, prefill_tokens=most)
        heard.append(recorder.heard[0])
    whole, *others = heard
    assert len(whole) > len(LONG.prompt_tokens)
    assert [entry[:3] for entry in whole[:2]] == [(0, 1, 2), (1, 2, 3)]
    for other in others:
        assert [entry[:3] for entry in other] == [entry[:3] for entry in whole]
        assert all(torch.equal(a[3], b[3]) for a, b in zip(other, whole, strict=True))


def by_cycle(result: RunResult) -> dict[int, dict[int, CycleRecord]]:
    found: dict[int, dict[int, CycleRecord]] = {}
    for record in result.cycles:
        found.setdefault(record.cycle, {})[record.request_id] = record
    return found


@pytest.mark.parametrize("name", ["none", "ar", "parallel"])
def test_others_decode_while_a_long_prompt_is_read(name: str) -> None:
    recorder = None if name == "none" else Recorder(tiny.drafter(name))
    result = tiny.serve([LONG, *SHORT], recorder, 4, 3, temperature=0.0, prefill_tokens=7)
    reading = [c for c in result.cycles if c.request_id == 5 and c.is_prefill]
    assert [c.cycle for c in reading] == list(range(len(reading)))
    assert len(reading) == 10  # 1 of the first 7 tokens is left for it, then 7 a cycle
    assert [c.num_emitted for c in reading] == [0] * 9 + [1]
    assert all((c.num_drafted, c.verify_len, c.num_accepted) == (0, 0, 0) for c in reading)
    cycles = by_cycle(result)
    for number in range(10):
        beside = [cycles[number][i] for i in (1, 2)]
        assert all(c.has_prefill and c.batch_size == 3 for c in cycles[number].values())
        assert all(c.num_emitted >= 1 for c in beside)
    assert not any(
        c.has_prefill for number in cycles if number > 9 for c in cycles[number].values()
    )
    request = next(r for r in result.requests if r.request_id == 5)
    last = reading[-1]
    assert request.first_token_s > last.started_s
    assert request.first_token_s <= last.started_s + last.duration_s
    if recorder is not None:
        assert set(recorder.rows_drafted) == {0, 1, 2}


def test_a_pass_reads_no_more_than_it_may() -> None:
    """Two prompts share a pass; what a cycle does not take waits for the next."""
    for most in (4, 5, 11, 200):
        model = Listener()
        result = tiny.serve(
            REQUESTS, None, concurrency=7, model=model, prefill_tokens=most, max_len=128
        )
        read = []
        for records in by_cycle(result).values():
            tokens = next(iter(records.values())).batch_tokens
            read.append(tokens - sum(not r.is_prefill for r in records.values()))
        lens = [len(request.prompt_tokens) for request in REQUESTS]
        assert max(read) == min(most, sum(lens)) and sum(read) == sum(lens)
        assert read[: sum(lens) // most] == [most] * (sum(lens) // most)
        assert [tokens.shape[0] for tokens, _, _ in model.passes] == [
            plan.num_tokens for _, plan, _ in model.passes
        ]


def test_masks_are_of_a_chunk_and_its_context() -> None:
    """On torch's operations, where there are masks: none is of a prompt times itself."""
    most, share = 8, 2
    model = Listener(Wanted.TORCH)
    tiny.serve([LONG], None, model=model, prefill_tokens=most)
    sizes = [
        mask.numel()
        for _, plan, _ in model.passes
        for group in plan.groups
        for mask in group.masks
        if mask is not None
    ]
    assert len(sizes) >= 7 and max(sizes) <= share * most * len(LONG.prompt_tokens)


def waiting(lens: list[int], read: list[int], admitted: list[float]) -> list[ActiveRequest]:
    return [
        ActiveRequest(
            Request(9 - i, "p", "d", (1,) * n, 4), i, i, 0, 0.0, at, context_len=done, anchor=-1
        )
        for i, (n, done, at) in enumerate(zip(lens, read, admitted, strict=True))
    ]


@pytest.mark.parametrize(
    ("most", "chunks", "present"),
    [
        (None, [10, 6, 3], [0, 1, 2]),
        (5, [0, 2, 3], [1, 2]),
        (3, [0, 0, 3], [2]),
        (9, [0, 6, 3], [1, 2]),
        (12, [3, 6, 3], [0, 1, 2]),
        (100, [10, 6, 3], [0, 1, 2]),
    ],
)
def test_who_came_first_reads_first(
    most: int | None, chunks: list[int], present: list[int]
) -> None:
    """Of two admitted at once the lower request id comes first, whatever rows they have."""
    states = waiting([10, 8, 7], [0, 2, 4], [2.0, 1.0, 1.0])
    taking = take_chunks(states, most)
    assert [state.chunk for state in states] == chunks
    assert [state.row for state in taking] == present
    assert [s.row for s in states if s.reads_on] == [
        i for i, left in enumerate((10, 6, 3)) if chunks[i] < left
    ]


def test_who_decodes_is_never_left_out() -> None:
    states = waiting([10, 3], [0, 4], [0.0, 0.0])
    assert [state.row for state in take_chunks(states, 1)] == [0, 1]
    assert not states[1].reads_on and states[0].reads_on


def records_of(result: RunResult) -> dict[int, list[tuple[int, int, int]]]:
    """What each request verified, accepted and emitted, cycle by cycle, chunks left out."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for c in result.cycles:
        if c.num_emitted > 0:
            counts = (c.verify_len, c.num_accepted, c.num_emitted)
            found.setdefault(c.request_id, []).append(counts)
    return found


@pytest.mark.parametrize("rule", [ReplayAcceptance, lambda: ForcedAcceptance(2, [0.7, 0.5])])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_along_a_record_chunks_change_no_count(
    rule: Callable[[], ReplayAcceptance], temperature: float
) -> None:
    known = [replace(r, continuation=tuple(range(1, 40))) for r in REQUESTS]
    whole, chunked = (
        tiny.serve(
            known, tiny.drafter("ar"), 2, 5, temperature, prefill_tokens=most, acceptance=rule()
        )
        for most in (None, 6)
    )
    assert records_of(chunked) == records_of(whole)


class Hindsight(FixedScheduler):
    """Verifies what will be accepted."""

    spec = SchedulerSpec("hindsight", needs_hindsight=True)

    def plan_verify(self, context: PlanContext, draft_lens, confidence) -> list[int]:
        assert context.hindsight is not None and len(context.hindsight) == len(draft_lens)
        return list(context.hindsight)


def test_a_scheduler_with_hindsight_sees_through_chunks() -> None:
    whole, chunked = (
        tiny.serve(REQUESTS, tiny.drafter("ar"), 4, 5, scheduler=Hindsight(), prefill_tokens=most)
        for most in (None, 6)
    )
    assert tiny.outputs(chunked) == tiny.outputs(whole)


def test_a_request_that_waits_for_a_place_in_the_pass_is_in_the_batch() -> None:
    """It holds a row: a batch that only grows while prompts wait would seem to be a smaller one."""
    served = [replace(LONG, request_id=number) for number in (1, 2)]
    result = tiny.serve(served, None, concurrency=2, temperature=0.0, prefill_tokens=20)
    alone = [records for records in by_cycle(result).values() if len(records) == 1]
    assert [list(records) for records in alone[:3]] == [[1], [1], [1]]
    assert all(c.batch_size == 2 for records in alone[:3] for c in records.values())


class Explorer(FixedScheduler):
    """Drafts nothing but in explored cycles, and writes down how large a batch it was told of."""

    def __init__(self) -> None:
        self.spec = SchedulerSpec("explorer", exploration_period=3)
        self.sizes: list[tuple[int, int]] = []

    def plan_draft(self, context: PlanContext) -> list[int]:
        self.sizes.append((len(context.request_ids), context.num_requests))
        return [0] * len(context.request_ids)


def test_cycles_that_only_read_are_not_explored() -> None:
    """Which decode cycles of a request draft does not depend on how its prompt is read."""
    drafted = []
    for most in (None, 1, 7, 60):
        result = tiny.serve(
            [replace(LONG, max_new_tokens=20)],
            tiny.drafter("ar"),
            scheduler=Explorer(),
            prefill_tokens=most,
        )
        drafted.append([c.num_drafted for c in result.cycles if not c.is_prefill])
    assert 0 < sum(map(bool, drafted[0])) < len(drafted[0])
    assert all(found == drafted[0] for found in drafted)


def test_a_scheduler_is_told_of_prompts_that_are_read_beside_it() -> None:
    scheduler = Explorer()
    served = [SHORT[0], LONG]
    tiny.serve(served, tiny.drafter("ar"), 4, 2, scheduler=scheduler, prefill_tokens=7)
    assert scheduler.sizes[:8] == [(1, 2)] * 8
