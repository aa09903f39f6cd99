"""What the engine asks of its plug-ins. They are injected; the engine imports none of them."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from dspark_bench.core.random_streams import CycleNoise, Floats, Ints
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.sampling import Verdict
from dspark_bench.core.types import (
    ContextUpdate,
    DraftBatch,
    DrafterSpec,
    DraftTree,
    Findings,
    PlanContext,
    Proposal,
    Recorded,
    SamplingParams,
    SchedulerSpec,
    TreeSpec,
)


class Drafter(Protocol):
    """Proposes tokens. Owns a context cache with one row per request."""

    @property
    def spec(self) -> DrafterSpec:
        """Name, limits and needs."""
        ...

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache: `num_rows` requests of up to `max_len` positions."""
        ...

    def extend(self, update: ContextUpdate) -> None:
        """Append committed context to the cache. Mutates the cache at `update.rows` only.

        An update that starts at 0 begins a new request in its row.
        """
        ...

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draft up to `batch.num_slots` tokens per request; the committed context is unchanged.

        A drafter that finds fewer than it is asked for says so in `Proposal.draft_lens`. How many
        it finds may depend on the committed context, never on what it has just drawn.
        """
        ...


class Branches(Protocol):
    """Draft distributions behind drafted prefixes, from one pass over B requests."""

    @property
    def num_choices(self) -> int:
        """U: tokens that can be drafted."""
        ...

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        """Probabilities [n, U] of what follows n prefixes, all of the same depth.

        Called once for each depth, from the anchors on. requests [n]: whose prefix; previous [n]:
        its last token; origins [n]: the row of the call before that gave this token, None at first.
        """
        ...

    def token_ids(self, choices: Tensor) -> Tensor:
        """The tokens behind choices in [0, U), same shape."""
        ...


class BranchingDrafter(Drafter, Protocol):
    """A drafter that can say what follows any prefix of drafts: `spec.can_branch`."""

    def branch(self, batch: DraftBatch) -> Branches:
        """One pass; the committed context is unchanged. All requests draft to the same depth."""
        ...


class TreePolicy(Protocol):
    """Chooses which continuations of an anchor are proposed (config group `tree`)."""

    @property
    def spec(self) -> TreeSpec:
        """Name and size."""
        ...

    def grow(self, branches: Branches, anchors: Tensor, depth: int) -> list[DraftTree]:
        """A tree for each of the anchors [B], no deeper than `depth`. Deterministic."""
        ...


class DrawnTreePolicy(TreePolicy, Protocol):
    """A policy that draws its trees when sampling: `spec.is_sampled`. `grow` is for greedy runs."""

    def draw(
        self, branches: Branches, anchors: Tensor, depth: int, uniform: Tensor
    ) -> list[DraftTree]:
        """Trees with `probs`. uniform [B, nodes] float64 in [0, 1): the only source of chance."""
        ...


class Scheduler(Protocol):
    """Chooses how much to draft and how much of each draft to verify."""

    @property
    def spec(self) -> SchedulerSpec:
        """Name, promises and needs."""
        ...

    def plan_draft(self, context: PlanContext) -> list[int]:
        """Draft length of each request, 0..gamma, from earlier cycles only.

        Asked in every decode cycle, the explored ones too, where the answer is not followed.
        """
        ...

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        """Verify length of each request, 0..draft length. confidence [B, K] or None.

        Entries past a request's draft length are meaningless.
        """
        ...

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learn from a finished cycle. Mutates the scheduler's own state only."""
        ...


class Calibrator(Protocol):
    """Turns a drafter's confidences into probabilities that hold."""

    def calibrate(self, confidence: Floats) -> Floats:
        """Conditional acceptance [B, K] in [0, 1] -> the same, calibrated; pure.

        An entry depends on its own value and position alone: what may not be anticipated stays
        unseen.
        """
        ...

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learn from a finished cycle. Mutates the calibrator's own state only."""
        ...


class StepCost(Protocol):
    """What the parts of a cycle cost, seconds. B requests, N tokens in the target's pass."""

    @property
    def version(self) -> int:
        """Another number whenever its answers have changed."""
        ...

    def step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        """A whole cycle but for proposing, for batches of num_tokens [n] (B or more): [n].

        As if every request had as many of them.
        """
        ...

    def convex_step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        """The same on a convex non-decreasing envelope, where stopping early is optimal: [n]."""
        ...

    def draft_s(self, num_requests: Floats, num_slots: int) -> Floats:
        """Proposing num_slots tokens for each of num_requests [n]: [n].

        Drafts of unequal length: as many requests as make up their total at the longest length.
        """
        ...

    def uneven_s(self, num_requests: int) -> float:
        """More for a cycle in which requests verify different lengths."""
        ...

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learn from a finished cycle. Mutates the cost's own state only."""
        ...


class Acceptance(Protocol):
    """Decides which drafts stand (config group `acceptance`)."""

    @property
    def follows_record(self) -> bool:
        """Whether requests that carry a recorded output are walked along it."""
        ...

    @property
    def is_simulated(self) -> bool:
        """Whether verdicts are made up: drafts are then what is on record, greedy or not, and no
        figure of the run says anything about the drafter.
        """
        ...

    def decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        sampling: SamplingParams,
        recorded: Recorded | None = None,
    ) -> "Decision":
        """Judge one cycle. logits [N, V]: each request's 1 + verify_len rows, in order.

        recorded: given only to acceptances that follow a record, for requests that carry one.
        """
        ...


class Decision(Protocol):
    """A verdict with what is worth recording beside it."""

    @property
    def verdict(self) -> Verdict:
        """Accepted lengths, refusals and bonus tokens."""
        ...

    def findings(self) -> Findings:
        """For the records. The engine asks once, off the clock, before the next cycle."""
        ...


class Load(Protocol):
    """Says when requests start. Index i is the i-th request of the run."""

    def start(self, num_requests: int) -> None:
        """A run begins: whatever is drawn is drawn now. Mutates the load's own state only."""
        ...

    def due(self, now_s: float, num_finished: int) -> int:
        """How many requests have been scheduled to start by `now_s` (seconds from the start)."""
        ...

    def scheduled_s(self, index: int, now_s: float) -> float:
        """When request `index`, found due at `now_s`, was scheduled to start."""
        ...

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        """When the next request falls due by itself; None if only a finish can trigger one."""
        ...

    @property
    def max_concurrency(self) -> int:
        """Requests that may run at once."""
        ...
