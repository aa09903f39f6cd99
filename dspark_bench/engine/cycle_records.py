"""What is written down of a cycle: a record of each request, and figures of the drafts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.near_tie import tie_limit
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import Findings, Proposal
from dspark_bench.engine.commit import Commit, Outcome
from dspark_bench.engine.timing import StageTimer


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


def note_drafts(
    commit: Commit, proposal: Proposal | None, findings: Findings, dtype: torch.dtype | None
) -> DraftNotes:
    """Read what is for the records alone: off the clock. Appends margins to the states.

    dtype: what the target rounds to, None if its bits do not depend on the batch.
    """
    if findings.margins is not None:
        _note_margins(commit.outcomes, findings.margins, findings.largest, findings.best, dtype)
    confidence = None if proposal is None else proposal.confidence
    survival = None if proposal is None else proposal.survival
    return DraftNotes(_rows(confidence), _rows(findings.expected_acceptance), _rows(survival))


def _note_margins(
    outcomes: Sequence[Outcome],
    margins: Tensor,
    largest: Tensor | None,
    best: Tensor | None,
    dtype: torch.dtype | None,
) -> None:
    tables = [None if table is None else table.tolist() for table in (largest, best)]
    for place, row in enumerate(margins.tolist()):
        outcome = outcomes[place]
        sizes, tops = (None if table is None else table[place] for table in tables)
        for slot, token in enumerate(outcome.emitted):
            is_best = tops is None or tops[slot] == token
            outcome.state.margins.append(row[slot] if is_best else -row[slot])
            if sizes is not None:
                outcome.state.tie_limits.append(tie_limit(dtype, sizes[slot]))


def cycle_records(
    commit: Commit, facts: CycleFacts, notes: DraftNotes, timer: StageTimer
) -> list[CycleRecord]:
    """One record per request; closes the cycle's timing."""
    started_s = timer.cycle_started_s
    times = timer.close()
    has_prefill = any(outcome.is_prefill for outcome in commit.outcomes)
    records = []
    for place, outcome in enumerate(commit.outcomes):
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
                and _is_whole(commit, place, facts.draft_lens[place], facts.gamma),
                is_prefill=outcome.is_prefill,
                has_prefill=has_prefill,
                batch_size=facts.num_active,
                batch_tokens=commit.num_tokens,
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


def _is_whole(commit: Commit, place: int, num_drafted: int, gamma: int) -> bool:
    """Whether everything was verified that could be drafted."""
    is_tree = commit.outcomes[place].path is not None
    return commit.planned_lens[place] == (num_drafted if is_tree else gamma) > 0


def _rows(table: Tensor | None) -> list[list[float]]:
    return [] if table is None else table.tolist()


def _head(table: list[list[float]], place: int, length: int) -> tuple[float, ...]:
    return tuple(table[place][:length]) if place < len(table) else ()
