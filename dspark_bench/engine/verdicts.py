"""What rules of acceptance share: requests without drafts, and how a sampled cycle is laid out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.sampling import Verdict, sample, token_probs
from dspark_bench.core.types import Proposal, SamplingParams


@dataclass(frozen=True, slots=True)
class SampledCycle:
    """A cycle of B requests that is judged by sampling; the first D have drafts.

    probs [N, V]: the target's, at each request's 1 + verify_len rows; num_rows: rows of the
    drafted; accept [D, K], emit [B]: the cycle's uniform numbers (fp64), beside them.
    """

    probs: Tensor
    num_rows: int
    accept: Tensor
    emit: Tensor

    @property
    def drafted_probs(self) -> Tensor:
        """[num_rows, V]."""
        return self.probs[: self.num_rows]

    @property
    def drafted_emit(self) -> Tensor:
        """[D]."""
        return self.emit[: len(self.accept)]

    def whole(self, drafted: Verdict) -> Verdict:
        """The verdict on the drafts, and behind it the next tokens of the other requests.

        Paths are left out where there are such requests.
        """
        if self.num_rows == self.probs.shape[0]:
            return drafted
        rest = self.emit[len(self.accept) :]
        return join(drafted, bonus_only(sample(self.probs[self.num_rows :], rest).tolist()))


def sampled_cycle(
    logits: Tensor,
    proposal: Proposal,
    verify_lens: Sequence[int],
    noise: CycleNoise,
    sampling: SamplingParams,
) -> SampledCycle:
    """logits [N, V]: each request's 1 + verify_len rows in order, a tree's nodes in theirs."""
    num_drafted = proposal.token_ids.shape[0]
    return SampledCycle(
        token_probs(logits, sampling),
        sum(verify_lens[:num_drafted]) + num_drafted,
        torch.from_numpy(noise.accept[:num_drafted]).to(logits.device),
        torch.from_numpy(noise.emit).to(logits.device),
    )


def bonus_only(tokens: list[int]) -> Verdict:
    """Verdict of requests without drafts: just their next tokens [B]."""
    size = len(tokens)
    return Verdict([0] * size, [False] * size, tokens)


def join(first: Verdict, second: Verdict) -> Verdict:
    """Verdicts of the drafted requests, then of the others."""
    return Verdict(
        first.num_accepted + second.num_accepted,
        first.is_rejected + second.is_rejected,
        first.bonus + second.bonus,
    )
