"""What a cycle leaves behind: emitted tokens, records, and the drafter's new context."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dspark_bench.core.near_tie import tie_limit
from dspark_bench.core.sampling import Verdict
from dspark_bench.core.tree import node_depths
from dspark_bench.core.types import ContextUpdate, CycleRecord, Findings, Proposal, RequestRecord
from dspark_bench.engine.batch import VerifyBatch
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.engine.timing import StageTimer


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request's share of a cycle.

    verify_len and num_accepted are clipped at an accepted end-of-sequence token; emitted: what the
    user gets; num_cut: tokens dropped behind it; reason: why it ends, or None. Of a tree path holds
    the accepted nodes (None of a chain), verify_len counts nodes and is not clipped, and depth,
    that of the deepest verified node, is.
    """

    state: ActiveRequest
    verify_len: int
    num_accepted: int
    is_rejected: bool
    is_prefill: bool
    emitted: tuple[int, ...]
    num_cut: int
    reason: str | None
    path: tuple[int, ...] | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class CycleFacts:
    """What a cycle's records say beside its outcomes.

    num_active: requests that hold a row, those included whose prompt waits for a place in the pass;
    has_blind_lens: no confidence had a say in the verify lengths; see `CycleRecord` for the rest.
    """

    cycle: int
    gamma: int
    num_active: int
    draft_lens: Sequence[int]
    has_blind_lens: bool
    num_waiting: int
    cpu_busy: float


@dataclass(frozen=True, slots=True)
class DraftNotes:
    """What records say of the drafts [D][K]; empty where there is no such figure."""

    confidence: list[list[float]]
    expected_acceptance: list[list[float]]
    survival: list[list[float]]


@dataclass(frozen=True, slots=True)
class Commit:
    """Outcomes of one cycle, and the verify lengths that were planned."""

    outcomes: tuple[Outcome, ...]
    planned_lens: tuple[int, ...]
    num_tokens: int

    @property
    def finished(self) -> list[ActiveRequest]:
        """Requests that ended in this cycle."""
        return [outcome.state for outcome in self.outcomes if outcome.reason is not None]

    @property
    def context_lens(self) -> list[int]:
        """Committed length of each request: what lies beyond in the cache is forgotten."""
        return [outcome.state.context_len for outcome in self.outcomes]

    def context_update(self, batch: VerifyBatch, features: Tensor | None) -> ContextUpdate | None:
        """New context of the requests that go on; None if none does.

        features [T, m*D], or None for a drafter that reads no target layer: [T, 0] then.
        """
        going = [(i, o) for i, o in enumerate(self.outcomes) if o.reason is None]
        if not going:
            return None
        if features is None:
            features = batch.token_ids.new_empty((batch.plan.num_tokens, 0), dtype=torch.float32)
        index: list[int] = []
        following: list[int] = []
        counts: list[int] = []
        for place, outcome in going:
            start = batch.starts[place]
            count = batch.query_lens[place] if outcome.is_prefill else 1 + outcome.num_accepted
            if outcome.path is None:
                index.extend(range(start, start + count))
            else:
                index.extend((start, *(start + 1 + node for node in outcome.path)))
            counts.append(count)
            following.extend(_read_behind(outcome, count) + outcome.emitted)
        chosen = torch.tensor([index, following], device=features.device)
        return ContextUpdate(
            rows=tuple(o.state.draft_row for _, o in going),
            starts=tuple(
                o.state.context_len - count for (_, o), count in zip(going, counts, strict=True)
            ),
            counts=tuple(counts),
            token_ids=batch.token_ids[chosen[0]],
            next_token_ids=chosen[1],
            features=features[chosen[0]],
            prompt_lens=tuple(len(o.state.request.prompt_tokens) for _, o in going),
        )

    def note(
        self, proposal: Proposal | None, findings: Findings, dtype: torch.dtype | None
    ) -> DraftNotes:
        """Read what is for the records alone: off the clock. Appends margins to the states.

        dtype: what the target rounds to, None if its bits do not depend on the batch.
        """
        if findings.margins is not None:
            self._note_margins(findings.margins, findings.largest, findings.best, dtype)
        confidence = None if proposal is None else proposal.confidence
        survival = None if proposal is None else proposal.survival
        return DraftNotes(_rows(confidence), _rows(findings.expected_acceptance), _rows(survival))

    def _note_margins(
        self,
        margins: Tensor,
        largest: Tensor | None,
        best: Tensor | None,
        dtype: torch.dtype | None,
    ) -> None:
        tables = [None if table is None else table.tolist() for table in (largest, best)]
        for place, row in enumerate(margins.tolist()):
            outcome = self.outcomes[place]
            sizes, tops = (None if table is None else table[place] for table in tables)
            for slot, token in enumerate(outcome.emitted):
                is_best = tops is None or tops[slot] == token
                outcome.state.margins.append(row[slot] if is_best else -row[slot])
                if sizes is not None:
                    outcome.state.tie_limits.append(tie_limit(dtype, sizes[slot]))

    def retire(self, now_s: float) -> list[RequestRecord]:
        """Stamp first tokens, and the records of the requests that ended."""
        records = []
        for outcome in self.outcomes:
            if outcome.is_prefill and outcome.emitted:
                outcome.state.first_token_s = now_s
            if outcome.reason is not None:
                records.append(outcome.state.finish(outcome.reason, now_s))
        return records

    def records(self, facts: CycleFacts, notes: DraftNotes, timer: StageTimer) -> list[CycleRecord]:
        """One record per request; closes the cycle's timing."""
        started_s = timer.cycle_started_s
        times = timer.close()
        has_prefill = any(outcome.is_prefill for outcome in self.outcomes)
        records = []
        for place, outcome in enumerate(self.outcomes):
            reached = outcome.verify_len
            if outcome.path is not None:
                reached = outcome.num_accepted + outcome.is_rejected
            records.append(
                CycleRecord(
                    cycle=facts.cycle,
                    request_id=outcome.state.request.request_id,
                    num_drafted=facts.draft_lens[place],
                    verify_len=outcome.verify_len,
                    num_accepted=outcome.num_accepted,
                    is_rejected=outcome.is_rejected,
                    num_emitted=len(outcome.emitted),
                    num_cut=outcome.num_cut,
                    full_width=facts.has_blind_lens
                    and self._is_whole(place, facts.draft_lens[place], facts.gamma),
                    is_prefill=outcome.is_prefill,
                    has_prefill=has_prefill,
                    batch_size=facts.num_active,
                    batch_tokens=self.num_tokens,
                    num_waiting=facts.num_waiting,
                    cpu_busy=facts.cpu_busy,
                    started_s=started_s,
                    t_draft_s=times.draft,
                    t_schedule_s=times.schedule,
                    t_verify_s=times.verify,
                    t_accept_s=times.accept,
                    t_engine_s=times.engine,
                    confidence=_head(notes.confidence, place, facts.draft_lens[place]),
                    expected_acceptance=_head(notes.expected_acceptance, place, reached),
                    tree_depth=outcome.depth,
                    path=outcome.path or (),
                    survival=_head(notes.survival, place, facts.draft_lens[place]),
                )
            )
        return records

    def _is_whole(self, place: int, num_drafted: int, gamma: int) -> bool:
        """Whether everything was verified that could be drafted."""
        is_tree = self.outcomes[place].path is not None
        return self.planned_lens[place] == (num_drafted if is_tree else gamma) > 0


def commit_cycle(
    states: Sequence[ActiveRequest],
    batch: VerifyBatch,
    proposal: Proposal | None,
    verify_lens: Sequence[int],
    verdict: Verdict,
    eos_token_ids: tuple[int, ...],
) -> Commit:
    """Apply a verdict: emit tokens and advance every request. Mutates `states`.

    The verdict covers the first requests; those that read on follow them.
    """
    drafts = [] if proposal is None else proposal.token_ids.tolist()
    trees = () if proposal is None else proposal.parents or ()
    outcomes = []
    for place, state in enumerate(states):
        if state.reads_on:
            outcomes.append(_read_on(state))
            continue
        is_tree, length = place < len(trees), verify_lens[place]
        path: Sequence[int] = range(verdict.num_accepted[place])
        if is_tree:
            assert verdict.paths is not None
            path = verdict.paths[place]
        outcome = _outcome(
            state,
            (*(drafts[place][draft] for draft in path), verdict.bonus[place]),
            1 + max(node_depths(trees[place][:length]), default=-1) if is_tree else length,
            verdict.is_rejected[place],
            batch.query_lens[place],
            eos_token_ids,
        )
        outcomes.append(_on_tree(outcome, path, length) if is_tree else outcome)
    return Commit(tuple(outcomes), tuple(verify_lens), batch.plan.num_tokens)


def _on_tree(outcome: Outcome, path: Sequence[int], num_nodes: int) -> Outcome:
    """An outcome in depths as a tree's. path: as judged, before an end cut it."""
    kept = tuple(path[: outcome.num_accepted])
    return replace(outcome, path=kept, depth=outcome.verify_len, verify_len=num_nodes)


def _read_on(state: ActiveRequest) -> Outcome:
    """A cycle in which a request did nothing but read a chunk of its prompt."""
    state.context_len += state.chunk
    return Outcome(state, 0, 0, False, True, (), 0, None)


def _read_behind(outcome: Outcome, count: int) -> tuple[int, ...]:
    """Prompt tokens that follow the `count` just read; none where no prompt was read."""
    if not outcome.is_prefill:
        return ()
    end = outcome.state.context_len
    return outcome.state.request.prompt_tokens[end - count + 1 : end + 1]


def _outcome(
    state: ActiveRequest,
    tokens: tuple[int, ...],
    verify_len: int,
    is_rejected: bool,
    query_len: int,
    eos_token_ids: tuple[int, ...],
) -> Outcome:
    """Cut `tokens` (accepted drafts and the bonus) at an end or at the length limit."""
    is_prefill = state.needs_prefill
    num_accepted = len(tokens) - 1
    emitted, reason = tokens, None
    end = next((i for i, token in enumerate(tokens) if token in eos_token_ids), None)
    if end is not None:
        emitted, reason = tokens[: end + 1], "eos"
        if end < num_accepted:
            verify_len = num_accepted = end + 1
            is_rejected = False
    if len(emitted) > state.num_remaining or (
        len(emitted) == state.num_remaining and reason is None
    ):
        emitted, reason = emitted[: state.num_remaining], "length"
    state.output.extend(emitted)
    state.cycle += 1
    state.context_len += query_len if is_prefill else 1 + num_accepted
    state.anchor = tokens[-1]
    return Outcome(
        state,
        verify_len,
        num_accepted,
        is_rejected,
        is_prefill,
        emitted,
        len(tokens) - len(emitted),
        reason,
    )


def _rows(table: Tensor | None) -> list[list[float]]:
    return [] if table is None else table.tolist()


def _head(table: list[list[float]], place: int, length: int) -> tuple[float, ...]:
    return tuple(table[place][:length]) if place < len(table) else ()
