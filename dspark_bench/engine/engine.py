"""The decode loop: continuous batching, one cycle for baseline and speculation alike.

`Engine.cycle` is the whole of it: plan_draft, propose, plan_verify, verify, accept, commit. With no
drafter every stage but verify and accept is empty, and that is the autoregressive baseline.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.clock import Clock
from dspark_bench.core.protocols import Acceptance, Decision, Drafter, Load, Scheduler
from dspark_bench.core.records import CycleRecord, RunLimits, RunResult
from dspark_bench.core.types import Proposal, Request, SamplingParams
from dspark_bench.engine.acceptance import NOTHING_EMITTED
from dspark_bench.engine.batch import VerifyBatch, build_verify_batch
from dspark_bench.engine.batcher import Batcher
from dspark_bench.engine.commit import commit_cycle
from dspark_bench.engine.cycle_records import CycleFacts, cycle_records, note_drafts
from dspark_bench.engine.drafting import Drafting
from dspark_bench.engine.givens import Givens, cycle_givens
from dspark_bench.engine.kept_paths import keep_paths
from dspark_bench.engine.planning import Planner
from dspark_bench.engine.plugin_checks import check_knows_trees
from dspark_bench.engine.prompt_chunks import take_chunks
from dspark_bench.engine.record import carry_record
from dspark_bench.engine.row_order import order_rows
from dspark_bench.engine.short_drafts import settle
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.engine.timing import StageTimer
from dspark_bench.engine.utilisation import CpuUtilisation
from dspark_bench.engine.widths import drafter_widths
from dspark_bench.models.shared_cache import share_cache
from dspark_bench.models.target import Target, TargetOutput

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
        spec = None if drafter is None else drafter.spec
        reads_drafts = scheduler.spec.needs_confidence
        if spec is not None and spec.num_nodes is not None:
            check_knows_trees(scheduler, acceptance, spec)
            reads_drafts = scheduler.spec.reads_survival
        self._target = target
        self._acceptance = acceptance
        self._sampling = sampling
        self._config = config
        self._clock = clock
        self._widths = drafter_widths(spec, gamma)
        self._planner = Planner(scheduler, spec, self._widths.gamma)
        self._drafting = Drafting(
            drafter,
            sampling,
            self._widths.num_draws,
            target.device,
            says_its_own=sampling.is_greedy and not acceptance.is_simulated,
            wants_confidence=reads_drafts or config.notes_confidence,
        )
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
            requests, self._widths.gamma, self._target.config.eos_token_ids
        )
        num_spare = self._widths.most_drafted + 1
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
        self._planner.observe(self._unseen)
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
            self._planner.observe(self._unseen)
        num_active = len(batcher.active)
        present = take_chunks(batcher.active, self._config.prefill_tokens)
        is_explored = self._planner.explores(present)
        states, draft_lens = self._planner.plan_draft(present, is_explored)
        timer.schedule()
        emitting = [state for state in states if not state.reads_on]
        givens = cycle_givens(emitting, self._widths, self._target.device, self._is_recorded)
        timer.engine()

        proposed = self._drafting.propose(states, draft_lens, givens)
        proposal, draft_lens = settle(proposed, draft_lens)
        hindsight = self._foresee(states, draft_lens, proposal, givens)
        if hindsight is None:
            timer.draft()
        else:
            timer.exclude()

        verify_lens = self._planner.plan_verify(
            states, draft_lens, proposal, is_explored, hindsight
        )
        timer.schedule()
        if hindsight is not None:
            draft_lens = verify_lens
            self._drafting.draft_again(states, verify_lens, givens)
            timer.draft()

        order_rows(states, verify_lens, self._cache)
        layers = self._drafting.feature_layers
        batch, output = self._verify(states, proposal, verify_lens, layers)
        timer.verify()

        decision = self._decide(output.logits, proposal, verify_lens[: len(emitting)], givens)
        eos_token_ids = self._target.config.eos_token_ids
        commit = commit_cycle(states, batch, proposal, verify_lens, decision.verdict, eos_token_ids)
        if proposal is not None and proposal.parents is not None:
            keep_paths(commit, self._cache)
        timer.accept()
        rounded = None if self._target.is_batch_invariant else self._cache.keys.dtype
        notes = note_drafts(commit, proposal, decision.findings(), rounded)
        timer.exclude()

        for state, length in zip(states, commit.context_lens, strict=True):
            self._cache.set_length(state.row, length)
        timer.engine()
        self._drafting.extend(commit, batch, output.features)
        timer.draft()

        now_s = timer.now_s()
        result.requests.extend(commit.retire(now_s))
        batcher.retire(commit.finished)
        facts = CycleFacts(
            cycle=index,
            gamma=self._widths.gamma,
            num_active=num_active,
            draft_lens=draft_lens,
            has_blind_lens=is_explored or not self._planner.spec.is_selective,
            num_waiting=batcher.num_waiting,
            cpu_busy=self._utilisation.share(now_s),
        )
        records = cycle_records(commit, facts, notes, timer)
        self._unseen = records
        result.cycles.extend(records)

    def _foresee(
        self,
        states: Sequence[ActiveRequest],
        draft_lens: Sequence[int],
        proposal: Proposal | None,
        givens: Givens,
    ) -> tuple[int, ...] | None:
        """Accepted length of every draft if all were verified; None unless the scheduler asks.

        What it writes into the cache is overwritten by the real pass.
        """
        if proposal is None or not self._planner.spec.needs_hindsight:
            return None
        num_drafted = proposal.token_ids.shape[0]
        judged_lens = draft_lens[: len(givens.noise.emit)]
        _, output = self._verify(states, proposal, draft_lens)
        decision = self._decide(output.logits, proposal, judged_lens, givens)
        return tuple(decision.verdict.num_accepted[:num_drafted])

    def _verify(
        self,
        states: Sequence[ActiveRequest],
        proposal: Proposal | None,
        lens: Sequence[int],
        feature_layers: tuple[int, ...] = (),
    ) -> tuple[VerifyBatch, TargetOutput]:
        """One pass of the target over prompts, anchors and the first `lens` of each draft."""
        batch = build_verify_batch(states, proposal, lens, self._cache)
        output = self._target.forward(
            batch.token_ids, batch.plan, self._cache, batch.logit_rows, feature_layers
        )
        return batch, output

    def _decide(
        self, logits: Tensor, proposal: Proposal | None, verify_lens: Sequence[int], givens: Givens
    ) -> Decision:
        """Judge the requests that emit; where all only read there is nothing to judge."""
        if not verify_lens:
            return NOTHING_EMITTED
        noise, recorded = givens.noise, givens.recorded
        return self._acceptance.decide(
            logits, proposal, verify_lens, noise, self._sampling, recorded
        )


def _wait(batcher: Batcher, timer: StageTimer) -> None:
    """Sleep until the next arrival, or for a second of it; idle time belongs to no cycle."""
    now_s = timer.now_s()
    wait_s = min(_LATEST_WAKE_S, batcher.wake_s(now_s) - now_s)
    time.sleep(max(_EARLIEST_WAKE_S, wait_s))
    timer.skip()
