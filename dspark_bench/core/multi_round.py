"""Multi-round verification of trees whose nodes were drawn: siblings are tried one by one.

Source: SpecInfer (Miao et al. 2024, algorithm 2) for siblings that are drawn independently; Sequoia
(Chen et al. 2024, section 3.2) for siblings drawn without replacement, where the distribution of
each is what was left when it was drawn. At a node the first child is judged by rejection sampling;
what its refusal leaves of the target's law is what the next child is judged by, and what the bonus
token is drawn from when all are refused. So each node's law is kept whatever is tried.
Letters: B requests, K nodes, V vocabulary, N rows of the target.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from dspark_bench.core.sampling import RESIDUAL_FLOOR, Verdict, sample
from dspark_bench.core.tree import children_of


@dataclass(frozen=True, slots=True)
class DrawnTrees:
    """token_ids [B, K]; probs [B, K, W]: what each node was drawn from, W up to V; parents [B]: of
    the verified nodes of each request.
    """

    token_ids: Tensor
    probs: Tensor
    parents: Sequence[tuple[int, ...]]


class _Walk:
    """One request on its way down. Mutated by `accept` and `refuse`."""

    def __init__(self, parents: Sequence[int], start: int) -> None:
        """start: row of the target's law at the anchor."""
        self._children = children_of(parents)
        self.start = start
        self.waiting = list(self._children.get(-1, ()))
        self.path: list[int] = []
        self.is_refused = False

    def accept(self) -> int:
        """Go down to the child that was tried; the row of the law there."""
        node = self.waiting[0]
        self.path.append(node)
        self.waiting = list(self._children.get(node, ()))
        return self.start + 1 + node

    def refuse(self) -> None:
        """On to the next sibling, if there is one."""
        del self.waiting[0]
        self.is_refused = not self.waiting


def judge_rounds(
    target_probs: Tensor, trees: DrawnTrees, accept_uniform: Tensor, emit_uniform: Tensor
) -> Verdict:
    """Walk each tree as far as children are accepted, and draw the token behind.

    target_probs [N, V]: the row at the anchor, then those of the verified nodes, of each request in
    order; accept_uniform [B, K]: a number for each node; emit_uniform [B].
    """
    walks: list[_Walk] = []
    start = 0
    for parents in trees.parents:
        walks.append(_Walk(parents, start))
        start += 1 + len(parents)
    laws = target_probs[[walk.start for walk in walks]]
    while testing := [place for place, walk in enumerate(walks) if walk.waiting]:
        nodes = [walks[place].waiting[0] for place in testing]
        drawn_from = trees.probs[testing, nodes]
        tokens = trees.token_ids[testing, nodes]
        chances = stand_chance(laws[testing], drawn_from, tokens)
        passed: list[bool] = (accept_uniform[testing, nodes] < chances).tolist()
        rows = [
            (place, walks[place].accept())
            for place, stands in zip(testing, passed, strict=True)
            if stands
        ]
        lost = [index for index, stands in enumerate(passed) if not stands]
        if lost:
            places = [testing[index] for index in lost]
            laws[places] = left_over(laws[places], drawn_from[lost])
            for place in places:
                walks[place].refuse()
        if rows:
            laws[[place for place, _ in rows]] = target_probs[[row for _, row in rows]]
    return Verdict(
        [len(walk.path) for walk in walks],
        [walk.is_refused for walk in walks],
        sample(laws, emit_uniform).tolist(),
        [walk.path for walk in walks],
    )


def stand_chance(law: Tensor, drawn_from: Tensor, tokens: Tensor) -> Tensor:
    """Chance [n] float64 that tokens [n] stand: min(1, law / drawn_from) of each.

    law [n, V], drawn_from [n, W].
    """
    index = tokens.unsqueeze(1)
    own, drawn = law.gather(1, index).squeeze(1), drawn_from.gather(1, index).squeeze(1)
    return (own.double() / drawn.double()).clamp_(max=1.0)


def left_over(law: Tensor, drawn_from: Tensor) -> Tensor:
    """The law [n, V] behind a refusal: the normalised positive part of law - drawn_from [n, W]."""
    rest = law.clone()
    rest[:, : drawn_from.shape[1]] -= drawn_from
    rest.clamp_(min=0.0).add_(law, alpha=RESIDUAL_FLOOR)
    return rest / rest.sum(-1, keepdim=True)
