"""`acceptance=exact`: rejection sampling that leaves the target's distribution untouched.

Draws no random numbers of its own and keeps nothing from cycle to cycle; `core.sampling` holds the
rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.sampling import (
    Verdict,
    overlap,
    overlap_certain,
    reject_greedy,
    sample,
    token_probs,
    verified_places,
)
from dspark_bench.core.types import Findings, Proposal, Recorded, SamplingParams
from dspark_bench.engine.chain_verdicts import judge_chains
from dspark_bench.engine.verdicts import bonus_only, join, sampled_cycle


@dataclass(frozen=True, slots=True)
class ExactDecision:
    """See `core.protocols.Decision`. find: what `findings` answers with; by default nothing."""

    verdict: Verdict
    find: Callable[[], Findings] = Findings

    def findings(self) -> Findings:
        """Computed now, from tensors of this cycle."""
        return self.find()


NOTHING_EMITTED = ExactDecision(Verdict([], [], []))
"""Of a cycle in which prompts are read and none to its end."""


class ExactAcceptance:
    """Judges drafts exactly; requests without drafts just get their next token."""

    follows_record = False
    is_simulated = False

    def decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        sampling: SamplingParams,
        recorded: Recorded | None = None,
    ) -> ExactDecision:
        """Judge one cycle.

        logits [N, V]: each request's 1 + verify_len rows in order; a proposal covers the first D
        requests, the others have verify_len 0. recorded: unused.
        """
        if sampling.is_greedy:
            return _decide_greedy(logits, proposal, verify_lens)
        if proposal is None:
            emit = torch.from_numpy(noise.emit).to(logits.device)
            probs = token_probs(logits, sampling)
            return ExactDecision(bonus_only(sample(probs, emit).tolist()))
        cycle = sampled_cycle(logits, proposal, verify_lens, noise, sampling)
        lens = verify_lens[: proposal.token_ids.shape[0]]
        verdict = cycle.whole(judge_chains(cycle, proposal, lens))
        return ExactDecision(
            verdict, lambda: Findings(expected_overlaps(cycle.probs, proposal, lens))
        )


def expected_overlaps(probs: Tensor, proposal: Proposal, verify_lens: Sequence[int]) -> Tensor:
    """Expected acceptance [D, K] at every verified slot, 0 elsewhere. probs [N, V] or more."""
    places = verified_places(verify_lens, probs.device)
    requests, slots = places.requests, places.slots
    if proposal.certain is not None:
        found = overlap_certain(probs[places.rows], proposal.certain[requests, slots])
    else:
        assert proposal.probs is not None
        found = overlap(probs[places.rows], proposal.probs[requests, slots])
    table = torch.zeros(proposal.token_ids.shape, device=probs.device)
    table[requests, slots] = found
    return table


def greedy_margins(logits: Tensor, num_slots: int, verify_lens: Sequence[int]) -> Findings:
    """The two largest logits of every row; rows past a request's verify length repeat its last.

    logits [N, V]: each request's 1 + verify_len rows, at most num_slots + 1.
    """
    top = logits.topk(2, dim=-1).values
    return Findings(
        margins=_per_request(top[:, 0] - top[:, 1], verify_lens, num_slots),
        largest=_per_request(top[:, 0], verify_lens, num_slots),
        best=_per_request(logits.argmax(-1), verify_lens, num_slots),
    )


def _decide_greedy(
    logits: Tensor, proposal: Proposal | None, verify_lens: Sequence[int]
) -> ExactDecision:
    best = logits.argmax(-1)
    num_slots = 0 if proposal is None else proposal.token_ids.shape[1]
    verdict = _judge_greedy(best, proposal, verify_lens)
    return ExactDecision(verdict, lambda: greedy_margins(logits, num_slots, verify_lens))


def _judge_greedy(best: Tensor, proposal: Proposal | None, verify_lens: Sequence[int]) -> Verdict:
    if proposal is None:
        return bonus_only(best.tolist())
    num_drafted, num_slots = proposal.token_ids.shape
    first = verify_lens[:num_drafted]
    table = _per_request(best, first, num_slots)
    drafted = reject_greedy(table.tolist(), proposal.token_ids.tolist(), first)
    return join(drafted, bonus_only(best[sum(first) + num_drafted :].tolist()))


def _per_request(flat: Tensor, verify_lens: Sequence[int], num_slots: int) -> Tensor:
    """flat [N, ...] -> [D, K+1, ...]; rows past a request's verify length repeat its last."""
    if all(length == num_slots for length in verify_lens):
        size = len(verify_lens) * (num_slots + 1)
        return flat[:size].view(len(verify_lens), num_slots + 1, *flat.shape[1:])
    index: list[int] = []
    start = 0
    for length in verify_lens:
        index.extend(start + min(slot, length) for slot in range(num_slots + 1))
        start += length + 1
    picked = flat[torch.tensor(index, device=flat.device)]
    return picked.view(len(verify_lens), num_slots + 1, *flat.shape[1:])
