"""The decode loop: continuous batching, one cycle for baseline and speculation alike.

`Engine.cycle` is the whole of it: plan_draft, propose, plan_verify, verify, accept, commit. With no
drafter every stage but verify and accept is empty, and that is the autoregressive baseline.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.clock import Clock
from dspark_bench.core.protocols import Acceptance, Decision, Drafter, Load, Scheduler
from dspark_bench.core.random_streams import CycleNoise, Floats, split_noise
from dspark_bench.core.types import (
    CycleRecord,
    DraftBatch,
    PlanContext,
    Proposal,
    Recorded,
    Request,
    RunLimits,
    RunResult,
    SamplingParams,
)
from dspark_bench.engine.acceptance import NOTHING_EMITTED
from dspark_bench.engine.batch import VerifyBatch, build_verify_batch
from dspark_bench.engine.batcher import Batcher
from dspark_bench.engine.commit import Commit, CycleFacts, commit_cycle
from dspark_bench.engine.exploration import Exploration
from dspark_bench.engine.kept_paths import keep_paths
from dspark_bench.engine.plugin_checks import (
    check_knows_trees,
    check_lengths,
    check_proposal,
)
from dspark_bench.engine.prompt_chunks import take_chunks
from dspark_bench.engine.record import carry_record, recorded_tokens
from dspark_bench.engine.row_order import order_rows
from dspark_bench.engine.short_drafts import settle
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.engine.timing import StageTimer
from dspark_bench.engine.utilisation import CpuUtilisation
from dspark_bench.models.shared_cache import share_cache
from dspark_bench.models.target import Target

_EARLIEST_WAKE_S = 0.0005
_LATEST_WAKE_S = 1.0


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """max_concurrency: cache rows; max_len: positions per row (prompt + output + drafts); limits:
    when a run gives up on what waits; prefill_tokens: prompt tokens that one pass reads at most,
    None: whole prompts; notes_confidence: records hold confidences even where no scheduler reads
    them.
    """

    max_concurrency: int
    max_len: int
    limits: RunLimits = RunLimits()
    prefill_tokens: int | None = None
    notes_confidence: bool = False


class Engine:
    """Serves requests with one target and at most one drafter.

    Keeps its caches, its scheduler's state and its count of cycles from run to run. Not
    thread-safe.
    """

    def __init__(
        self,
        target: Target,
        drafter: Drafter | None,
        scheduler: Scheduler,
        acceptance: Acceptance,
        sampling: SamplingParams,
        gamma: int,
        config: EngineConfig,
        clock: Clock,
    ) -> None:
        self._target = target
        self._drafter = drafter
        self._scheduler = scheduler
        self._acceptance = acceptance
        self._sampling = sampling
        self._gamma = gamma if drafter is not None else 0
        self._most_drafted = self._gamma
        reads_drafts = scheduler.spec.needs_confidence
        if drafter is not None and drafter.spec.num_nodes is not None:
            check_knows_trees(scheduler, acceptance, drafter.spec)
            self._most_drafted = max(gamma, drafter.spec.num_nodes)
            reads_drafts = scheduler.spec.reads_survival
        self._draws_nodes = drafter is not None and drafter.spec.draws_nodes
        self._num_draws = self._most_drafted if self._draws_nodes else self._gamma
        self._wants_confidence = reads_drafts or config.notes_confidence
        self._config = config
        self._clock = clock
        period = 0 if drafter is None else scheduler.spec.exploration_period
        self._exploration = Exploration(period)
        self._utilisation = CpuUtilisation()
        self._unseen: list[CycleRecord] = []
        self._is_recorded = False
        self._cache = target.new_cache(config.max_concurrency, config.max_len)
        if drafter is not None:
            with torch.inference_mode():
                drafter.allocate(config.max_concurrency, config.max_len)
            share_cache(drafter, self._cache)

    def run(self, requests: Sequence[Request], load: Load, seed: int) -> RunResult:
        """Serve all `requests` in order, within the limits, and return a record of each.

        Raises UsageError if one cannot fit a cache row or lacks the recorded output that others
        carry, and for a load that brings no request or counts wrongly. `seed` keys every random
        number together with the request's id.
        """
        *_, result = self.steps(requests, load, seed)
        return result

    def steps(self, requests: Sequence[Request], load: Load, seed: int) -> Iterator[RunResult]:
        """`run` cycle by cycle: after each what is known so far, at the end the whole result.

        The caller may let other engines work in between, with drafters of their own (a drafter
        holds the context of its requests): time until it asks again belongs to no cycle, and not to
        the run. One run at a time.
        """
        result = RunResult()
        limits = self._config.limits
        self._is_recorded = self._acceptance.follows_record and carry_record(
            requests, self._gamma, self._target.config.eos_token_ids
        )
        num_spare = self._most_drafted + 1
        batcher = Batcher(requests, load, self._cache, seed, num_spare, limits)
        timer = StageTimer(self._clock)
        self._utilisation.restart()
        index = 0
        while not batcher.is_done:
            batcher.admit(timer.now_s())
            if batcher.active:
                with torch.inference_mode():
                    self.cycle(batcher, timer, index, result)
                index += 1
                timer.engine()
                yield result
                timer.exclude()
            elif not batcher.is_done:
                _wait(batcher, timer)
        self._scheduler.observe(self._unseen)
        self._unseen = []
        records = [*result.requests, *batcher.unserved]
        yield RunResult(records, result.cycles, timer.cycle_started_s)

    @property
    def num_free_rows(self) -> int:
        """Cache rows that no request holds: all of them between runs."""
        return self._cache.num_free

    def cycle(self, batcher: Batcher, timer: StageTimer, index: int, result: RunResult) -> None:
        """One decode cycle over everything active. Appends its records to `result`."""
        timer.engine()
        if self._unseen:
            self._scheduler.observe(self._unseen)
        num_active = len(batcher.active)
        present = take_chunks(batcher.active, self._config.prefill_tokens)
        is_explored = self._explores(present)
        states, draft_lens = self._plan_draft(present, is_explored)
        timer.schedule()
        emitting = [state for state in states if not state.reads_on]
        noise = self._noise(emitting)
        recorded = self._recorded(emitting)
        timer.engine()

        proposed = self._propose(states, draft_lens, noise, recorded)
        proposal, draft_lens = settle(proposed, draft_lens)
        hindsight = self._foresee(states, draft_lens, proposal, noise, recorded)
        if hindsight is None:
            timer.draft()
        else:
            timer.exclude()

        verify_lens = self._plan_verify(states, draft_lens, proposal, is_explored, hindsight)
        timer.schedule()
        if hindsight is not None:
            draft_lens = verify_lens
            self._draft_again(states, verify_lens, noise, recorded)
            timer.draft()

        order_rows(states, verify_lens, self._cache)
        batch = build_verify_batch(states, proposal, verify_lens, self._cache)
        output = self._target.forward(
            batch.token_ids, batch.plan, self._cache, batch.logit_rows, self._feature_layers
        )
        timer.verify()

        judged_lens = verify_lens[: len(emitting)]
        decision = self._decide(output.logits, proposal, judged_lens, noise, recorded)
        eos_token_ids = self._target.config.eos_token_ids
        commit = commit_cycle(states, batch, proposal, verify_lens, decision.verdict, eos_token_ids)
        if proposal is not None and proposal.parents is not None:
            keep_paths(commit, self._cache)
        timer.accept()
        rounded = None if self._target.is_batch_invariant else self._cache.keys.dtype
        notes = commit.note(proposal, decision.findings(), rounded)
        timer.exclude()

        for state, length in zip(states, commit.context_lens, strict=True):
            self._cache.set_length(state.row, length)
        timer.engine()
        self._extend(commit, batch, output.features)
        timer.draft()

        now_s = timer.now_s()
        result.requests.extend(commit.retire(now_s))
        batcher.retire(commit.finished)
        facts = CycleFacts(
            cycle=index,
            gamma=self._gamma,
            num_active=num_active,
            draft_lens=draft_lens,
            has_blind_lens=is_explored or not self._scheduler.spec.is_selective,
            num_waiting=batcher.num_waiting,
            cpu_busy=self._utilisation.share(now_s),
        )
        records = commit.records(facts, notes, timer)
        self._unseen = records
        result.cycles.extend(records)

    @property
    def _feature_layers(self) -> tuple[int, ...]:
        return () if self._drafter is None else self._drafter.spec.feature_layers

    def _explores(self, active: Sequence[ActiveRequest]) -> bool:
        """Whether this cycle drafts and verifies everything. Cycles that only read prompts are not
        counted: there is nothing to draft in them.
        """
        is_decoding = any(not state.needs_prefill for state in active)
        return is_decoding and self._exploration.is_due()

    def _plan_draft(
        self, active: Sequence[ActiveRequest], is_explored: bool
    ) -> tuple[list[ActiveRequest], Sequence[int]]:
        """Requests with drafts first, those that read on last, and each one's draft length.

        A scheduler is asked in explored cycles too: it keeps account of who is new.
        """
        if self._drafter is None:
            return sorted(active, key=lambda state: state.reads_on), [0] * len(active)
        decoding = [state for state in active if not state.needs_prefill]
        lens = full = [self._gamma] * len(decoding)
        if decoding:
            lens = self._scheduler.plan_draft(self._context(decoding, active))
            check_lengths(self._scheduler, "plan_draft", lens, full)
        if is_explored:
            lens = full
        drafted = [(s, n) for s, n in zip(decoding, lens, strict=True) if n > 0]
        plain = [s for s, n in zip(decoding, lens, strict=True) if n == 0]
        reading = [state for state in active if state.needs_prefill]
        plain += sorted(reading, key=lambda state: state.reads_on)
        return [s for s, _ in drafted] + plain, [n for _, n in drafted] + [0] * len(plain)

    def _context(
        self,
        states: Sequence[ActiveRequest],
        batch: Sequence[ActiveRequest],
        hindsight: tuple[int, ...] | None = None,
        survival: Floats | None = None,
    ) -> PlanContext:
        return PlanContext(
            tuple(state.request.request_id for state in states),
            tuple(state.cycle for state in states),
            self._gamma,
            len(batch),
            hindsight,
            None if self._drafter is None else self._drafter.spec.num_nodes,
            survival,
        )

    def _foresee(
        self,
        states: Sequence[ActiveRequest],
        draft_lens: Sequence[int],
        proposal: Proposal | None,
        noise: CycleNoise,
        recorded: Recorded | None,
    ) -> tuple[int, ...] | None:
        """Accepted length of every draft if all were verified; None unless the scheduler asks.

        What it writes into the cache is overwritten by the real pass.
        """
        if proposal is None or not self._scheduler.spec.needs_hindsight:
            return None
        num_drafted = proposal.token_ids.shape[0]
        judged_lens = draft_lens[: len(noise.emit)]
        batch = build_verify_batch(states, proposal, draft_lens, self._cache)
        logits = self._target.forward(
            batch.token_ids, batch.plan, self._cache, batch.logit_rows
        ).logits
        decision = self._decide(logits, proposal, judged_lens, noise, recorded)
        return tuple(decision.verdict.num_accepted[:num_drafted])

    def _decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        recorded: Recorded | None,
    ) -> Decision:
        """Judge the requests that emit; where all only read there is nothing to judge."""
        if not verify_lens:
            return NOTHING_EMITTED
        return self._acceptance.decide(
            logits, proposal, verify_lens, noise, self._sampling, recorded
        )

    def _draft_again(
        self,
        states: Sequence[ActiveRequest],
        lens: Sequence[int],
        noise: CycleNoise,
        recorded: Recorded | None,
    ) -> None:
        """Spend the time that drafting `lens` tokens takes; the drafts at hand stay."""
        chosen = [place for place, length in enumerate(lens) if length > 0]
        picked = CycleNoise(noise.draft[chosen], noise.accept[chosen], noise.emit[chosen])
        if recorded is not None:
            recorded = replace(recorded, token_ids=recorded.token_ids[chosen])
        self._propose([states[i] for i in chosen], [lens[i] for i in chosen], picked, recorded)

    def _noise(self, states: Sequence[ActiveRequest]) -> CycleNoise:
        rows = [state.noise_row(self._num_draws) for state in states]
        return split_noise(np.reshape(rows, (-1, 2 * self._num_draws + 1)), self._num_draws)

    def _recorded(self, states: Sequence[ActiveRequest]) -> Recorded | None:
        if not self._is_recorded or not states:
            return None
        return recorded_tokens(states, self._gamma + 1, self._target.device)

    def _propose(
        self,
        states: Sequence[ActiveRequest],
        draft_lens: Sequence[int],
        noise: CycleNoise,
        recorded: Recorded | None,
    ) -> Proposal | None:
        """Drafts; along a record the drafter scores what is on it (greedy: says its own, unless
        verdicts are simulated).
        """
        lens = tuple(length for length in draft_lens if length > 0)
        if self._drafter is None or not lens:
            return None
        chosen = states[: len(lens)]
        device = self._target.device
        num_draws = self._num_draws if self._draws_nodes else max(lens)
        uniform = torch.from_numpy(noise.draft[: len(lens), :num_draws]).to(device)
        forced = None
        says_its_own = self._sampling.is_greedy and not self._acceptance.is_simulated
        if recorded is not None and not says_its_own:
            forced = recorded.token_ids[: len(lens), : max(lens)]
        batch = DraftBatch(
            rows=tuple(state.draft_row for state in chosen),
            context_lens=tuple(state.context_len for state in chosen),
            anchors=torch.tensor([state.anchor for state in chosen], device=device),
            draft_lens=lens,
            sampling=self._sampling,
            uniform=uniform,
            forced=forced,
            target_rows=tuple(state.row for state in chosen),
            wants_confidence=self._wants_confidence,
        )
        proposal = self._drafter.propose(batch)
        check_proposal(self._drafter, proposal, batch)
        return proposal

    def _extend(self, commit: Commit, batch: VerifyBatch, features: Tensor | None) -> None:
        if self._drafter is None:
            return
        update = commit.context_update(batch, features)
        if update is not None:
            self._drafter.extend(update)

    def _plan_verify(
        self,
        states: Sequence[ActiveRequest],
        draft_lens: Sequence[int],
        proposal: Proposal | None,
        is_explored: bool,
        hindsight: tuple[int, ...] | None,
    ) -> list[int]:
        if proposal is None:
            return [0] * len(states)
        num_drafted = proposal.token_ids.shape[0]
        drafted = draft_lens[:num_drafted]
        lens = list(drafted)
        if not is_explored:
            worth = _table(proposal.survival)
            context = self._context(states[:num_drafted], states, hindsight, worth)
            confidence = _table(proposal.confidence)
            lens = list(self._scheduler.plan_verify(context, drafted, confidence))
            check_lengths(self._scheduler, "plan_verify", lens, drafted)
        return lens + [0] * (len(states) - num_drafted)


def _table(values: Tensor | None) -> Floats | None:
    """Estimates [B, K] as a scheduler reads them."""
    return None if values is None else values.double().cpu().numpy()


def _wait(batcher: Batcher, timer: StageTimer) -> None:
    """Sleep until the next arrival, or for a second of it; idle time belongs to no cycle."""
    now_s = timer.now_s()
    wait_s = min(_LATEST_WAKE_S, batcher.wake_s(now_s) - now_s)
    time.sleep(max(_EARLIEST_WAKE_S, wait_s))
    timer.skip()
