"""Block verification: a chain is judged as a whole, not draft by draft.

Source: Sun et al. 2024, "Block Verification Accelerates Speculative Decoding" (2403.10444, section
4, algorithm 2). Judging each draft by itself throws away what a prefix has in reserve: where the
target likes it better than the drafter does, later drafts may be liked less. Exact for every rule
that chooses how many drafts are verified without looking at a draft that it leaves out, since each
place keeps its own balance: a prefix stands with probability `joint` whether or not it goes on.
Letters: B requests, K draft slots, V vocabulary, N rows of the target, M verified drafts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.sampling import (
    RESIDUAL_FLOOR,
    Verdict,
    VerifiedPlaces,
    sample,
    verified_places,
)


@dataclass(frozen=True, slots=True)
class BlockLaws:
    """Both laws at the places of one cycle.

    target_probs [N, V]: 1 + verify_len rows of each request in order; draft_tokens [B, K];
    draft_probs [B, K, V], None where each draft was proposed with probability 1; verify_lens [B].
    """

    target_probs: Tensor
    draft_tokens: Tensor
    draft_probs: Tensor | None
    verify_lens: tuple[int, ...]

    @property
    def places(self) -> VerifiedPlaces:
        """Where the verified drafts lie."""
        return verified_places(self.verify_lens, self.draft_tokens.device)


@dataclass(frozen=True, slots=True)
class BlockChances:
    """joint [B, K + 1] float64: that the prefix of k drafts stands, whatever is tried behind it;
    stands [B, K]: that the prefix of k + 1 drafts is chosen if no longer one is, 0 where nothing is
    verified; expected [B, K]: chance of draft k + 1 given that those before it stand.
    """

    joint: Tensor
    stands: Tensor
    expected: Tensor


def block_chances(laws: BlockLaws) -> BlockChances:
    """What the verifier needs to know of each prefix. Equations 3 and 4 of the paper.

    joint: p_k = min(1, p_(k-1) target(x_k) / draft(x_k)). A prefix that has k + 1 behind it keeps
    what the drafts that follow do not use up: Z_k = sum_v max(0, p_k target(v) - draft(v)), and is
    chosen with Z_k / (Z_k + 1 - p_k); the whole block with p_k.
    """
    places = laws.places
    requests, slots = places.requests, places.slots
    size, num_slots = laws.draft_tokens.shape
    ratios = laws.target_probs.new_zeros(size, num_slots, dtype=torch.float64)
    ratios[requests, slots] = _ratios(laws, places)
    joint = ratios.new_ones(size, num_slots + 1)
    for slot in range(num_slots):
        joint[:, slot + 1] = (joint[:, slot] * ratios[:, slot]).clamp_(max=1.0)
    before = joint[requests, slots]
    surplus, shared = ratios.new_zeros(size, num_slots), ratios.new_zeros(size, num_slots)
    kept = _kept(laws, places, before)
    surplus[requests, slots] = kept
    shared[requests, slots] = torch.where(before > 0, 1 - kept / before, 0.0).clamp_(0.0, 1.0)
    own = joint[:, 1:]
    behind = torch.cat([surplus[:, 1:], surplus.new_zeros(size, 1)], dim=1)
    stands = torch.where(own < 1, behind / (behind + 1 - own), 1.0)
    lens = torch.tensor(laws.verify_lens, device=own.device).unsqueeze(1)
    order = torch.arange(num_slots, device=own.device)
    stands = torch.where(order == lens - 1, own, stands)
    return BlockChances(joint, torch.where(order < lens, stands, 0.0), shared)


def next_weights(laws: BlockLaws, joint: Tensor, num_accepted: Sequence[int]) -> Tensor:
    """Weights [B, V] of the token behind each chosen prefix: max(0, p_k target - draft), or the
    target's law behind a whole block. joint: of `BlockChances`.
    """
    places = laws.places
    weights = laws.target_probs[places.ends(num_accepted)]
    short = [place for place, n in enumerate(num_accepted) if n < laws.verify_lens[place]]
    if not short:
        return weights
    slots = [num_accepted[place] for place in short]
    own = weights[short]
    if laws.draft_probs is None:
        own[range(len(short)), laws.draft_tokens[short, slots]] *= RESIDUAL_FLOOR
    else:
        scaled = own * joint[short, slots].unsqueeze(1)
        left = (scaled - laws.draft_probs[short, slots]).clamp_(min=0.0)
        own = left.add_(own, alpha=RESIDUAL_FLOOR).to(own.dtype)
    weights[short] = own
    return weights


def verify_block(
    laws: BlockLaws, chances: BlockChances, accept_uniform: Tensor, emit_uniform: Tensor
) -> Verdict:
    """Choose the longest prefix whose number says so, and the token behind it.

    accept_uniform [B, K], emit_uniform [B]. A draft is rejected where a longer prefix was verified
    than was chosen.
    """
    num_slots = laws.draft_tokens.shape[1]
    order = torch.arange(1, num_slots + 1, device=chances.stands.device)
    passed = accept_uniform[:, :num_slots] < chances.stands
    num_accepted: list[int] = (passed * order).amax(1).tolist()
    is_rejected = [n < most for n, most in zip(num_accepted, laws.verify_lens, strict=True)]
    weights = next_weights(laws, chances.joint, num_accepted)
    return Verdict(num_accepted, is_rejected, sample(weights, emit_uniform).tolist())


def _ratios(laws: BlockLaws, places: VerifiedPlaces) -> Tensor:
    """target(x) / draft(x) [M] of every verified draft."""
    requests, slots = places.requests, places.slots
    tokens = laws.draft_tokens[requests, slots]
    target_at = laws.target_probs[places.rows, tokens].double()
    if laws.draft_probs is None:
        return target_at
    return target_at / laws.draft_probs[requests, slots, tokens].double()


def _kept(laws: BlockLaws, places: VerifiedPlaces, joint: Tensor) -> Tensor:
    """Z [M] float64 of the prefix before each verified draft; joint [M]: its p."""
    requests, slots = places.requests, places.slots
    rows = laws.target_probs[places.rows]
    if laws.draft_probs is None:
        drawn = rows.gather(1, laws.draft_tokens[requests, slots].unsqueeze(1)).squeeze(1)
        return joint * (1 - drawn.double()).clamp_(min=0.0)
    scaled = rows * joint.unsqueeze(1).to(rows.dtype)
    return (scaled - laws.draft_probs[requests, slots]).clamp_(min=0.0).sum(-1).double()
