"""`acceptance=typical`: a draft stands if the target finds it typical. LOSSY: not the target's law.

Source: Medusa (Cai et al. 2024, section 2.3.1). Where the target is unsure, many drafts will do;
where it is sure, few. So more drafts stand than under any exact rule, and the text is another one:
unlikely tokens are never taken from a draft, and likely ones more often than they should be. Here
to be compared with; its runs are never called lossless. Greedy decoding takes the argmax and
nothing else. Keeps no state.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.sampling import Verdict, sample, token_probs
from dspark_bench.core.types import Proposal, Recorded, SamplingParams
from dspark_bench.engine.acceptance import ExactDecision
from dspark_bench.engine.match_acceptance import MatchAcceptance, verified_parents


class TypicalAcceptance:
    """Judges chains and trees alike; requests without drafts just get their next token."""

    follows_record = False
    is_simulated = False
    judges_trees = True
    is_lossy = True

    def __init__(self, epsilon: float = 0.09, delta: float = 0.3) -> None:
        """See conf/acceptance/typical.yaml. Raises UsageError for thresholds that are none."""
        if not 0 < epsilon <= 1:
            raise UsageError(f"acceptance.epsilon is {epsilon:g}; valid: above 0, at most 1")
        if not (math.isfinite(delta) and delta > 0):
            raise UsageError(f"acceptance.delta is {delta:g}; valid: above 0")
        self._epsilon, self._delta = epsilon, delta
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

        The longest path whose drafts are all typical stands, of several the likeliest; the token
        behind it is drawn from the target.
        """
        if sampling.is_greedy or proposal is None:
            return self._match.decide(logits, proposal, verify_lens, noise, sampling)
        shapes = verified_parents(proposal, verify_lens)
        probs = token_probs(logits, sampling)
        scores = self._scores(probs, proposal, shapes)
        paths, refused, ends = [], [], []
        start = 0
        for parents in shapes:
            path, is_refused = typical_path(parents, scores[: len(parents)])
            scores = scores[len(parents) :]
            paths.append(path)
            refused.append(is_refused)
            ends.append(start + 1 + path[-1] if path else start)
            start += 1 + len(parents)
        ends.extend(range(start, probs.shape[0]))
        num_plain = len(verify_lens) - len(shapes)
        emit = torch.from_numpy(noise.emit).to(probs.device)
        verdict = Verdict(
            [*map(len, paths), *[0] * num_plain],
            [*refused, *[False] * num_plain],
            sample(probs[ends], emit).tolist(),
            None if proposal.parents is None else paths,
        )
        return ExactDecision(verdict)

    def _scores(
        self, probs: Tensor, proposal: Proposal, shapes: Sequence[tuple[int, ...]]
    ) -> list[float]:
        """Of all nodes in a row: the log of the target's probability, -inf for what is not typical:
        at most min(epsilon, delta exp(-entropy)).
        """
        requests: list[int] = []
        nodes: list[int] = []
        rows: list[int] = []
        start = 0
        for place, parents in enumerate(shapes):
            requests.extend([place] * len(parents))
            nodes.extend(range(len(parents)))
            rows.extend(start + 1 + parent for parent in parents)
            start += 1 + len(parents)
        where = torch.tensor([requests, nodes, rows], dtype=torch.int64, device=probs.device)
        entropy = torch.special.entr(probs).sum(-1)
        limits = (self._delta * (-entropy).exp()).clamp_(max=self._epsilon)
        own = probs[where[2], proposal.token_ids[where[0], where[1]]]
        is_typical = own > limits[where[2]]
        found: list[float] = torch.where(is_typical, own.double().log(), -math.inf).tolist()
        return found


def typical_path(parents: Sequence[int], scores: Sequence[float]) -> tuple[list[int], bool]:
    """Nodes of the longest path without a score of -inf, and whether drafts behind it were refused.

    parents, scores [nodes]; of paths as long the one with the largest sum, then the first.
    """
    depth, worth = {-1: 0}, {-1: 0.0}
    best = -1
    for node, (parent, score) in enumerate(zip(parents, scores, strict=True)):
        if parent not in depth or score == -math.inf:
            continue
        depth[node], worth[node] = depth[parent] + 1, worth[parent] + score
        if (depth[node], worth[node]) > (depth[best], worth[best]):
            best = node
    path: list[int] = []
    node = best
    while node >= 0:
        path.append(node)
        node = parents[node]
    return path[::-1], best in parents
