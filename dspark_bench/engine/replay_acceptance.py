"""`acceptance=replay`: drafts are judged along one recorded output of the target per prompt.

Every drafter and every revision then meets identical contexts, and the draw that judges a token is
keyed by the token's place in the output, so unchanged code gives identical counts. Keying by place
is safe here though not elsewhere: along a record a place is decided at most once (a refused token
is the next anchor), and nothing that a scheduler sees depends on the draws.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import CycleNoise, Floats, cycle_noise, request_key
from dspark_bench.core.sampling import Verdict, reject_greedy, reject_recorded, token_probs
from dspark_bench.core.tree import node_depths
from dspark_bench.core.types import Findings, Proposal, Recorded, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance, ExactDecision, expected_overlaps
from dspark_bench.engine.match_acceptance import (
    MatchAcceptance,
    verified_parents,
    walk,
    walk_findings,
)
from dspark_bench.engine.verdicts import bonus_only, join


class ReplayAcceptance:
    """Follows the record where there is one; without one it is exact."""

    follows_record = True
    is_simulated = False
    judges_trees = True

    def __init__(self, seed: int = 0, recording: int = 0, path: str | None = None) -> None:
        """seed: of the draws; recording, path: which recorded outputs, for who makes them."""
        for name, value in (("seed", seed), ("recording", recording)):
            if value < 0:
                raise UsageError(f"acceptance.{name} is {value}; valid: 0 or more")
        self.seed = seed
        self._exact = ExactAcceptance()
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
        """Judge one cycle; shapes as for `ExactAcceptance.decide`.

        Greedy: a draft is accepted iff it equals the recorded token. So it is on trees, greedy or
        not: the record is what the target drew, and `match` goes down where a child carries that.
        """
        if proposal is not None and proposal.parents is not None:
            if recorded is None:
                return self._match.decide(logits, proposal, verify_lens, noise, sampling)
            return _walk_record(logits, proposal, verify_lens, sampling, recorded)
        if recorded is None:
            return self._exact.decide(logits, proposal, verify_lens, noise, sampling)
        num_drafted = 0 if proposal is None else proposal.token_ids.shape[0]
        plain = bonus_only(recorded.token_ids[num_drafted:, 0].tolist())
        if sampling.is_greedy:
            exact = self._exact.decide(logits, proposal, verify_lens, noise, sampling)
            if proposal is None:
                return ExactDecision(plain, exact.find)
            known, drafts = recorded.token_ids[:num_drafted].tolist(), proposal.token_ids.tolist()
            judged = reject_greedy(known, drafts, verify_lens[:num_drafted])
            return ExactDecision(join(judged, plain), exact.find)
        if proposal is None:
            return ExactDecision(plain)
        return self._judge(logits, proposal, verify_lens[:num_drafted], sampling, recorded, plain)

    def _judge(
        self,
        logits: Tensor,
        proposal: Proposal,
        lens: Sequence[int],
        sampling: SamplingParams,
        recorded: Recorded,
        plain: Verdict,
    ) -> ExactDecision:
        """lens [D]: verify lengths of the drafted requests; plain: the verdict on the others."""
        num_drafted, num_slots = proposal.token_ids.shape
        probs = token_probs(logits[: sum(lens) + num_drafted], sampling)
        known = recorded.token_ids[:num_drafted]
        if proposal.certain is not None:  # u < draft(y) / target(y): 0, or 1 and more
            judged = reject_greedy(known.tolist(), proposal.certain.tolist(), lens)
        else:
            assert proposal.probs is not None
            drawn = torch.from_numpy(self._draws(recorded, num_drafted, num_slots))
            judged = reject_recorded(probs, proposal.probs, known, lens, drawn.to(logits.device))
        return ExactDecision(
            join(judged, plain), lambda: Findings(expected_overlaps(probs, proposal, lens))
        )

    def _draws(self, recorded: Recorded, num_drafted: int, num_slots: int) -> Floats:
        """Uniform numbers [D, K] keyed by request and place in the output."""
        keys = [request_key(self.seed, key) for key in recorded.keys[:num_drafted]]
        places = np.add.outer(recorded.places[:num_drafted], np.arange(num_slots))
        drawn = cycle_noise(
            np.repeat(np.array(keys, dtype=np.uint64), num_slots),
            places.astype(np.uint64).ravel(),
            num_slots=1,
        )
        uniform: Floats = drawn.accept.reshape(num_drafted, num_slots)
        return uniform


def _walk_record(
    logits: Tensor,
    proposal: Proposal,
    verify_lens: Sequence[int],
    sampling: SamplingParams,
    recorded: Recorded,
) -> ExactDecision:
    """`match` with the recorded token of its depth as the target's draw at every node."""
    shapes = verified_parents(proposal, verify_lens)
    known = recorded.token_ids.tolist()
    drawn: list[int] = []
    for own, parents in zip(known, shapes, strict=False):
        drawn.extend((own[0], *(own[1 + depth] for depth in node_depths(parents))))
    drawn.extend(own[0] for own in known[len(shapes) :])
    verdict = walk(drawn, proposal, shapes)
    probs = None if sampling.is_greedy else token_probs(logits, sampling)
    return ExactDecision(
        verdict, lambda: walk_findings(logits, probs, proposal, verify_lens, verdict)
    )
