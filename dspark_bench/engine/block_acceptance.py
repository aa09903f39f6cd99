"""`acceptance=block`: block verification of chains, exact, and never behind `exact` on average.

`core.block_verification` holds the rule. Greedy decoding has nothing to gain from it: there it is
`exact`. Keeps no state.
"""

from collections.abc import Sequence

from torch import Tensor

from dspark_bench.core.block_verification import BlockLaws, block_chances, verify_block
from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.types import Findings, Proposal, Recorded, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance, ExactDecision
from dspark_bench.engine.verdicts import sampled_cycle


class BlockAcceptance:
    """Judges each chain as a whole; requests without drafts just get their next token."""

    follows_record = False
    is_simulated = False

    def __init__(self) -> None:
        self._exact = ExactAcceptance()

    def decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        sampling: SamplingParams,
        recorded: Recorded | None = None,
    ) -> ExactDecision:
        """Judge one cycle; shapes as for `ExactAcceptance.decide`.

        Expected acceptance is the chance of each draft given that the block stands up to it.
        """
        if sampling.is_greedy or proposal is None:
            return self._exact.decide(logits, proposal, verify_lens, noise, sampling)
        cycle = sampled_cycle(logits, proposal, verify_lens, noise, sampling)
        lens = tuple(verify_lens[: proposal.token_ids.shape[0]])
        laws = _laws(cycle.drafted_probs, proposal, lens)
        chances = block_chances(laws)
        verdict = cycle.whole(verify_block(laws, chances, cycle.accept, cycle.drafted_emit))
        return ExactDecision(verdict, lambda: Findings(chances.expected.float()))


def _laws(probs: Tensor, proposal: Proposal, lens: tuple[int, ...]) -> BlockLaws:
    if proposal.certain is not None:
        return BlockLaws(probs, proposal.certain, None, lens)
    assert proposal.probs is not None
    return BlockLaws(probs, proposal.token_ids, proposal.probs, lens)
