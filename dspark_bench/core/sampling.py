"""Exact sampling and rejection sampling, as pure functions over batches.

Sources: Leviathan et al. 2023 and Chen et al. 2023 for the accept/residual rule; DSpark section 2.
Letters: B requests, K draft slots, V vocabulary, T rows flattened over requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.nucleus import keep_top_p
from dspark_bench.core.types import SamplingParams

RESIDUAL_FLOOR = 1e-30
"""Share of the target's law added to a residual: lost in rounding, unless the residual is empty."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What rejection sampling decided for one cycle of B requests.

    num_accepted [B]: length of the accepted draft prefix; is_rejected [B]: whether the draft after
    that prefix was tested and refused; bonus [B]: the token that follows the accepted prefix;
    paths [B]: of trees, the accepted nodes from the anchor on, None for chains.
    """

    num_accepted: list[int]
    is_rejected: list[bool]
    bonus: list[int]
    paths: list[list[int]] | None = None


def token_probs(logits: Tensor, params: SamplingParams) -> Tensor:
    """Probabilities [..., V] (fp32) of the distribution that is sampled, after all filters."""
    logits = logits.float()
    if params.temperature != 1.0:
        logits = logits / params.temperature
    likeliest = None
    if params.top_k > 0 and params.top_k < logits.shape[-1]:
        logits, likeliest = _keep_top_k(logits, params.top_k)
    probs = torch.softmax(logits, dim=-1)
    if params.top_p < 1.0:
        probs = keep_top_p(probs, params.top_p, likeliest)
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
    verify_lens: Sequence[int],
    accept_uniform: Tensor,
    emit_uniform: Tensor,
) -> Verdict:
    """Accept the longest draft prefix under exact rejection sampling.

    target_probs [N, V]: 1 + verify_len rows of each request in order (row k is the target's
    distribution after k drafts); draft_probs [B, K, V], draft_tokens [B, K], verify_lens [B],
    accept_uniform [B, K], emit_uniform [B].

    Draft x_k is accepted iff u < min(1, target(x_k) / draft(x_k)); after the first refusal the next
    token comes from the normalised positive part of target - draft, after none from the target.
    """
    places = verified_places(verify_lens, draft_tokens.device)
    rows, requests, slots = places.rows, places.requests, places.slots
    tokens = draft_tokens[requests, slots]
    target_at = target_probs[rows, tokens]
    draft_at = draft_probs[requests, slots, tokens]
    passed = (accept_uniform[requests, slots] * draft_at < target_at).tolist()
    num_accepted, is_rejected = _prefixes(_split(passed, verify_lens), verify_lens)
    weights = target_probs[places.ends(num_accepted)]
    if any(is_rejected):
        refused = draft_probs[
            range(len(verify_lens)), [min(n, draft_tokens.shape[1] - 1) for n in num_accepted]
        ]
        is_tested = torch.tensor(is_rejected, device=refused.device).unsqueeze(1)
        residual = torch.where(is_tested, weights - refused, weights).clamp_(min=0.0)
        weights = residual.add_(weights, alpha=RESIDUAL_FLOOR)
    return Verdict(num_accepted, is_rejected, sample(weights, emit_uniform).tolist())


def reject_certain(
    target_probs: Tensor,
    draft_tokens: Tensor,
    verify_lens: Sequence[int],
    accept_uniform: Tensor,
    emit_uniform: Tensor,
) -> Verdict:
    """`reject_sampled` for drafts that were proposed with probability 1. Same shapes.

    Draft x_k is accepted iff u < target(x_k); after the first refusal the next token comes from the
    target without x_k, normalised, after none from the target.
    """
    places = verified_places(verify_lens, draft_tokens.device)
    rows, requests, slots = places.rows, places.requests, places.slots
    target_at = target_probs[rows, draft_tokens[requests, slots]]
    passed = (accept_uniform[requests, slots] < target_at).tolist()
    num_accepted, is_rejected = _prefixes(_split(passed, verify_lens), verify_lens)
    weights = target_probs[places.ends(num_accepted)]
    tested = [request for request, is_refused in enumerate(is_rejected) if is_refused]
    if tested:
        refused = draft_tokens[tested, [num_accepted[request] for request in tested]]
        weights[tested, refused] *= RESIDUAL_FLOOR
    return Verdict(num_accepted, is_rejected, sample(weights, emit_uniform).tolist())


def reject_recorded(
    target_probs: Tensor,
    draft_probs: Tensor,
    recorded: Tensor,
    verify_lens: Sequence[int],
    accept_uniform: Tensor,
) -> Verdict:
    """Judge a drafter along recorded tokens y that the target drew itself.

    target_probs, draft_probs, verify_lens and accept_uniform as in `reject_sampled`, the drafts
    being y; recorded [B, K+1]: y and the token after it. y_k counts as accepted iff
    u < min(1, draft(y_k) / target(y_k)), and the token that follows the accepted prefix is the
    recorded one. Both happen together with probability min(target, draft)(y), and a refusal with y
    to follow with target(y) - min(target, draft)(y), exactly as in speculation.
    """
    places = verified_places(verify_lens, recorded.device)
    rows, requests, slots = places.rows, places.requests, places.slots
    tokens = recorded[requests, slots]
    target_at = target_probs[rows, tokens]
    draft_at = draft_probs[requests, slots, tokens]
    passed = (accept_uniform[requests, slots] * target_at < draft_at).tolist()
    num_accepted, is_rejected = _prefixes(_split(passed, verify_lens), verify_lens)
    bonus = recorded[range(len(verify_lens)), num_accepted].tolist()
    return Verdict(num_accepted, is_rejected, bonus)


@dataclass(frozen=True, slots=True)
class VerifiedPlaces:
    """Where the M verified drafts of a ragged batch lie.

    rows [M]: the target's row that judges each; requests, slots [M]: whose draft, and which;
    starts [B]: each request's first row.
    """

    rows: Tensor
    requests: Tensor
    slots: Tensor
    starts: tuple[int, ...]

    def ends(self, num_accepted: Sequence[int]) -> list[int]:
        """The target's row [B] behind each accepted prefix."""
        return [start + n for start, n in zip(self.starts, num_accepted, strict=True)]


def verified_places(verify_lens: Sequence[int], device: torch.device) -> VerifiedPlaces:
    """Index a batch whose requests have 1 + verify_len rows each, in order."""
    rows: list[int] = []
    requests: list[int] = []
    slots: list[int] = []
    starts: list[int] = []
    start = 0
    for request, length in enumerate(verify_lens):
        starts.append(start)
        rows.extend(range(start, start + length))
        requests.extend([request] * length)
        slots.extend(range(length))
        start += length + 1
    index = torch.tensor([rows, requests, slots], dtype=torch.int64, device=device)
    return VerifiedPlaces(index[0], index[1], index[2], tuple(starts))


def reject_greedy(
    target_tokens: Sequence[Sequence[int]],
    draft_tokens: Sequence[Sequence[int]],
    verify_lens: Sequence[int],
) -> Verdict:
    """Temperature 0: accept drafts while they equal the target's argmax.

    target_tokens [B][K+1] is the target's argmax per row; draft_tokens [B][K]; verify_lens [B].
    """
    passed = [
        [draft == target for draft, target in zip(drafts, targets, strict=False)]
        for drafts, targets in zip(draft_tokens, target_tokens, strict=True)
    ]
    num_accepted, is_rejected = _prefixes(passed, verify_lens)
    bonus = [row[n] for row, n in zip(target_tokens, num_accepted, strict=True)]
    return Verdict(num_accepted, is_rejected, bonus)


def overlap(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Expected acceptance sum_v min(target, draft) = 1 - TV, over the last dimension."""
    return torch.minimum(target_probs, draft_probs).sum(-1)


def overlap_certain(target_probs: Tensor, tokens: Tensor) -> Tensor:
    """The same where the draft [...] has probability 1: target [..., V] at that token."""
    return target_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1).clamp(max=1.0)


def _split(flat: Sequence[bool], lengths: Sequence[int]) -> list[Sequence[bool]]:
    """Consecutive pieces of the given lengths."""
    pieces: list[Sequence[bool]] = []
    start = 0
    for length in lengths:
        pieces.append(flat[start : start + length])
        start += length
    return pieces


def _prefixes(
    passed: Sequence[Sequence[bool]], verify_lens: Sequence[int]
) -> tuple[list[int], list[bool]]:
    """Accepted length of each request, and whether its next draft was verified and refused."""
    lengths = [
        next((k for k, is_good in enumerate(row[:length]) if not is_good), length)
        for row, length in zip(passed, verify_lens, strict=True)
    ]
    return lengths, [n < length for n, length in zip(lengths, verify_lens, strict=True)]


def _keep_top_k(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Keep exactly `top_k` tokens; equal logits at the edge are settled by `topk`'s order.

    Returns logits [..., V], -inf where not kept, and the tokens kept [..., top_k].
    """
    values, index = logits.topk(top_k, dim=-1)
    return torch.full_like(logits, -torch.inf).scatter(-1, index, values), index
