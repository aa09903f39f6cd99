"""What a cycle leaves behind: emitted tokens, requests that end, and the drafter's new context."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dspark_bench.core.records import RequestRecord
from dspark_bench.core.sampling import Verdict
from dspark_bench.core.tree import node_depths
from dspark_bench.core.types import ContextUpdate, Proposal
from dspark_bench.engine.batch import VerifyBatch
from dspark_bench.engine.state import ActiveRequest


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

    def retire(self, now_s: float) -> list[RequestRecord]:
        """Stamp first tokens, and the records of the requests that ended."""
        records = []
        for outcome in self.outcomes:
            if outcome.is_prefill and outcome.emitted:
                outcome.state.first_token_s = now_s
            if outcome.reason is not None:
                records.append(outcome.state.finish(outcome.reason, now_s))
        return records


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
