"""Draft and verify lengths: what a cycle asks of its scheduler, and when it does not listen."""

from collections.abc import Sequence

from torch import Tensor

from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import DrafterSpec, PlanContext, Proposal, SchedulerSpec
from dspark_bench.engine.exploration import Exploration
from dspark_bench.engine.plugin_checks import check_lengths
from dspark_bench.engine.state import ActiveRequest


class Planner:
    """Plans for one engine. Keeps its scheduler's state and its count of explored cycles."""

    def __init__(self, scheduler: Scheduler, drafter: DrafterSpec | None, gamma: int) -> None:
        self._scheduler = scheduler
        self._drafter = drafter
        self._gamma = gamma
        self._exploration = Exploration(0 if drafter is None else scheduler.spec.exploration_period)

    @property
    def spec(self) -> SchedulerSpec:
        """The scheduler's own."""
        return self._scheduler.spec

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Tell the scheduler what came of the cycle before."""
        self._scheduler.observe(records)

    def explores(self, active: Sequence[ActiveRequest]) -> bool:
        """Whether this cycle drafts and verifies everything. Cycles that only read prompts are not
        counted: there is nothing to draft in them.
        """
        is_decoding = any(not state.needs_prefill for state in active)
        return is_decoding and self._exploration.is_due()

    def plan_draft(
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

    def plan_verify(
        self,
        states: Sequence[ActiveRequest],
        draft_lens: Sequence[int],
        proposal: Proposal | None,
        is_explored: bool,
        hindsight: tuple[int, ...] | None,
    ) -> list[int]:
        """How much of each draft is verified: all of it in an explored cycle."""
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
            None if self._drafter is None else self._drafter.num_nodes,
            survival,
        )


def _table(values: Tensor | None) -> Floats | None:
    """Estimates [B, K] as a scheduler reads them."""
    return None if values is None else values.double().cpu().numpy()
