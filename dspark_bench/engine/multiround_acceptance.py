"""`acceptance=multiround`: SpecInfer's rule for trees whose nodes were drawn. Exact.

`core.multi_round` holds the rule. It needs each node's own distribution, so it goes together with
`tree=sampled` alone, and accepts more there than `match`, which makes no use of them. Greedy
decoding draws nothing: there it is `match`. Keeps no state.
"""

from collections.abc import Sequence

from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.multi_round import DrawnTrees, judge_rounds
from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.sampling import Verdict
from dspark_bench.core.types import Proposal, Recorded, SamplingParams
from dspark_bench.engine.acceptance import ExactDecision
from dspark_bench.engine.match_acceptance import MatchAcceptance, verified_parents
from dspark_bench.engine.verdicts import sampled_cycle


class MultiRoundAcceptance:
    """Judges drawn trees; requests without drafts just get their next token."""

    follows_record = False
    is_simulated = False
    judges_trees = True
    needs_drawn_trees = True

    def __init__(self) -> None:
        self._match = MatchAcceptance()

    def decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        sampling: SamplingParams,
        recorded: Recorded | None = None,
    ) -> ExactDecision:
        """Judge one cycle; shapes as for `MatchAcceptance.decide`.

        Raises UsageError for drafts that do not say what they were drawn from.
        """
        if sampling.is_greedy or proposal is None:
            return self._match.decide(logits, proposal, verify_lens, noise, sampling)
        if proposal.probs is None:
            raise UsageError(
                "acceptance=multiround was given drafts without the distributions that they were "
                "drawn from; valid: tree=sampled"
            )
        shapes = verified_parents(proposal, verify_lens)
        cycle = sampled_cycle(logits, proposal, verify_lens, noise, sampling)
        trees = DrawnTrees(proposal.token_ids, proposal.probs, shapes)
        judged = judge_rounds(cycle.drafted_probs, trees, cycle.accept, cycle.drafted_emit)
        whole = cycle.whole(judged)
        paths = None if proposal.parents is None else judged.paths
        return ExactDecision(Verdict(whole.num_accepted, whole.is_rejected, whole.bonus, paths))
