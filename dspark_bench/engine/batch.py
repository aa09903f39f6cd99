"""The ragged batch of one cycle: what the target is given, and which rows belong to whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.types import Proposal
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.models.attention import AttentionPlan, Span, plan_attention
from dspark_bench.models.kv_cache import KVCache


@dataclass(frozen=True, slots=True)
class VerifyBatch:
    """Input of one target pass.

    token_ids [T]; starts [B]: first row of each request; query_lens [B]; logit_rows [N]: rows whose
    logits are needed (a prompt's last one, all of a draft's), None when that is all of them.
    """

    token_ids: Tensor
    plan: AttentionPlan
    starts: tuple[int, ...]
    query_lens: tuple[int, ...]
    logit_rows: Tensor | None


def build_verify_batch(
    states: Sequence[ActiveRequest],
    proposal: Proposal | None,
    verify_lens: Sequence[int],
    cache: KVCache,
) -> VerifyBatch:
    """Flatten chunks of prompts, anchors and drafts.

    A proposal covers the first requests of `states`; those that read on come last.
    """
    device = cache.keys.device
    query_lens = [
        state.chunk if state.needs_prefill else 1 + length
        for state, length in zip(states, verify_lens, strict=True)
    ]
    starts = [0]
    for length in query_lens:
        starts.append(starts[-1] + length)
    num_drafted = 0 if proposal is None else proposal.token_ids.shape[0]
    parts = []
    if proposal is not None:
        parts.append(_drafted_tokens(states[:num_drafted], proposal, verify_lens[:num_drafted]))
    plain: list[int] = []
    for state in states[num_drafted:]:
        plain.extend(_next_chunk(state) if state.needs_prefill else (state.anchor,))
    if plain:
        parts.append(torch.tensor(plain, device=device))
    trees = _trees(proposal, verify_lens, len(states))
    spans = [
        Span(state.row, state.context_len, length, parents=parents)
        for state, length, parents in zip(states, query_lens, trees, strict=True)
    ]
    return VerifyBatch(
        token_ids=parts[0] if len(parts) == 1 else torch.cat(parts),
        plan=plan_attention(spans, cache),
        starts=tuple(starts[:-1]),
        query_lens=tuple(query_lens),
        logit_rows=_logit_rows(states, starts, device),
    )


def _trees(
    proposal: Proposal | None, verify_lens: Sequence[int], num_requests: int
) -> Sequence[tuple[int, ...] | None]:
    """Of each request, its anchor's and verified nodes' parents; None where there is no tree."""
    if proposal is None or proposal.parents is None:
        return (None,) * num_requests
    drafted = [
        (-1, *(1 + parent for parent in own[:length]))
        for own, length in zip(proposal.parents, verify_lens, strict=False)
    ]
    return [*drafted, *(None,) * (num_requests - len(drafted))]


def _next_chunk(state: ActiveRequest) -> tuple[int, ...]:
    start = state.context_len
    return state.request.prompt_tokens[start : start + state.chunk]


def _drafted_tokens(
    states: Sequence[ActiveRequest], proposal: Proposal, verify_lens: Sequence[int]
) -> Tensor:
    """Anchor and verified drafts of each request, flattened."""
    num_slots = proposal.token_ids.shape[1]
    device = proposal.token_ids.device
    anchors = torch.tensor([state.anchor for state in states], device=device)
    table = torch.cat([anchors.unsqueeze(1), proposal.token_ids], dim=1)
    if all(length == num_slots for length in verify_lens):
        return table.flatten()
    keep = [i * (num_slots + 1) + j for i, n in enumerate(verify_lens) for j in range(n + 1)]
    return table.flatten()[torch.tensor(keep, device=device)]


def _logit_rows(
    states: Sequence[ActiveRequest], starts: Sequence[int], device: torch.device
) -> Tensor | None:
    if not any(state.needs_prefill for state in states):
        return None
    rows: list[int] = []
    for index, state in enumerate(states):
        end = starts[index + 1]
        if not state.reads_on:
            rows.extend([end - 1] if state.needs_prefill else range(starts[index], end))
    return torch.tensor(rows, dtype=torch.int64, device=device)
