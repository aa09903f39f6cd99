"""Exact sampling and rejection sampling, as pure functions over batches.

Sources: Leviathan et al. 2023 and Chen et al. 2023 for the accept/residual rule; DSpark section 2.
Letters: B requests, K draft slots, V vocabulary, T rows flattened over requests.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.types import SamplingParams


@dataclass(frozen=True, slots=True)
class Verdict:
    """What rejection sampling decided for one cycle of B requests.

    num_accepted [B] int64: length of the accepted draft prefix.
    is_rejected [B] bool: whether the draft after that prefix was tested and refused.
    bonus [B] int64: the token that follows the accepted prefix.
    """

    num_accepted: Tensor
    is_rejected: Tensor
    bonus: Tensor


def token_probs(logits: Tensor, params: SamplingParams) -> Tensor:
    """Probabilities [..., V] (fp32) of the distribution that is sampled, after all filters."""
    logits = logits.float()
    if params.temperature != 1.0:
        logits = logits / params.temperature
    if params.top_k > 0 and params.top_k < logits.shape[-1]:
        logits = _keep_top_k(logits, params.top_k)
    probs = torch.softmax(logits, dim=-1)
    if params.top_p < 1.0:
        probs = _keep_top_p(probs, params.top_p)
    return probs


def sample(probs: Tensor, uniform: Tensor) -> Tensor:
    """Inverse-CDF sample [N] int64 from weights probs [N, V] and uniform [N] float64 in [0, 1).

    Weights need not sum to one. A token of weight zero is never returned: the cumulative sum does
    not move there, and the threshold stays below the total.
    """
    cumulative = probs.cumsum(dim=-1, dtype=torch.float64)
    threshold = uniform.unsqueeze(-1) * cumulative[..., -1:]
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)


def reject_sampled(
    target_probs: Tensor,
    draft_probs: Tensor,
    draft_tokens: Tensor,
    verify_lens: Tensor,
    accept_uniform: Tensor,
    emit_uniform: Tensor,
) -> Verdict:
    """Accept the longest draft prefix under exact rejection sampling.

    target_probs [B, K+1, V] (row k is the target's distribution after k drafts; rows past a
    request's verify length are ignored), draft_probs [B, K, V], draft_tokens [B, K],
    verify_lens [B], accept_uniform [B, K], emit_uniform [B].

    Draft x_k is accepted iff u < min(1, target(x_k) / draft(x_k)); after the first refusal the next
    token comes from the normalised positive part of target - draft, after none from the target.
    """
    num_slots = draft_tokens.shape[1]
    index = draft_tokens.unsqueeze(-1)
    target_at = target_probs[:, :num_slots].gather(2, index).squeeze(-1)
    draft_at = draft_probs.gather(2, index).squeeze(-1)
    passed = accept_uniform * draft_at < target_at
    num_accepted, is_rejected = _prefix(passed, verify_lens)
    emit_probs = _row(target_probs, num_accepted)
    refused = _row(draft_probs, num_accepted.clamp(max=num_slots - 1))
    residual = (emit_probs - refused).clamp_(min=0.0)
    has_residual = is_rejected & (residual.sum(-1) > 0)
    weights = torch.where(has_residual.unsqueeze(-1), residual, emit_probs)
    return Verdict(num_accepted, is_rejected, sample(weights, emit_uniform))


def reject_greedy(target_tokens: Tensor, draft_tokens: Tensor, verify_lens: Tensor) -> Verdict:
    """Temperature 0: accept drafts while they equal the target's argmax.

    target_tokens [B, K+1] is the target's argmax per row; draft_tokens [B, K]; verify_lens [B].
    """
    passed = draft_tokens == target_tokens[:, : draft_tokens.shape[1]]
    num_accepted, is_rejected = _prefix(passed, verify_lens)
    bonus = target_tokens.gather(1, num_accepted.unsqueeze(1)).squeeze(1)
    return Verdict(num_accepted, is_rejected, bonus)


def overlap(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Expected acceptance sum_v min(target, draft) = 1 - TV, over the last dimension."""
    return torch.minimum(target_probs, draft_probs).sum(-1)


def _prefix(passed: Tensor, verify_lens: Tensor) -> tuple[Tensor, Tensor]:
    slots = torch.arange(passed.shape[1], device=passed.device)
    verified = slots < verify_lens.unsqueeze(1)
    num_accepted = (passed & verified).to(torch.int64).cumprod(dim=1).sum(dim=1)
    return num_accepted, num_accepted < verify_lens


def _row(table: Tensor, index: Tensor) -> Tensor:
    return table[torch.arange(table.shape[0], device=table.device), index]


def _keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    """Keep exactly `top_k` tokens; equal logits at the edge are settled by `topk`'s order."""
    values, index = logits.topk(top_k, dim=-1)
    return torch.full_like(logits, -torch.inf).scatter(-1, index, values)


def _keep_top_p(probs: Tensor, top_p: float) -> Tensor:
    """Keep the smallest set of likeliest tokens whose mass reaches `top_p`; renormalise."""
    ordered, index = probs.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    kept = torch.where(before < top_p, ordered, torch.zeros_like(ordered))
    filtered = torch.zeros_like(probs).scatter(-1, index, kept)
    return filtered / filtered.sum(dim=-1, keepdim=True)
