"""`best_first`: the prefixes that the drafter finds likeliest, whatever their shape (DDTree).

A prefix is worth the product of its tokens' draft probabilities: its estimated survival. The sum of
those over a tree's nodes is its expected accepted depth, so the `num_nodes` best prefixes make the
tree that is best under the drafter's own estimates; with each prefix come all that it continues,
since a product never rises. A heap over prefixes finds them one by one; here each depth is expanded
at once for all requests, and only what is among the best so far goes on, which gives the same set.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree, TreeSpec

MOST_NODES = 1024


@dataclass(frozen=True, slots=True)
class _Level:
    """Best prefixes of one depth, W for each of B requests, by falling worth.

    worth [B, W] float64: log of the survival, -inf where there is none; tokens [B, W]: last token;
    parents [B, W]: place in the level before; origins [B, W]: row of the expansion that gave them.
    """

    worth: Tensor
    tokens: Tensor
    parents: Tensor
    origins: Tensor


class BestFirstTree:
    """The `nodes` likeliest prefixes, no deeper than drafts are long."""

    def __init__(self, nodes: int = 16) -> None:
        """nodes: of a tree, the anchor not counted. Raises UsageError unless 1 to MOST_NODES."""
        if not 1 <= nodes <= MOST_NODES:
            raise UsageError(f"tree.nodes is {nodes}; valid: 1 to {MOST_NODES}")
        self._nodes = nodes
        self.spec = TreeSpec("best_first", nodes, None, 1)

    def grow(self, branches: Branches, anchors: Tensor, depth: int) -> list[DraftTree]:
        """A tree for each anchor [B], with fewer nodes where fewer prefixes are possible."""
        none = torch.zeros_like(anchors).unsqueeze(1)
        last = _Level(none.double(), anchors.unsqueeze(1), none, none)
        is_open = torch.ones_like(none, dtype=torch.bool)
        levels: list[_Level] = []
        while len(levels) < depth and bool(is_open.any()):
            last = self._next(branches, last, is_open, is_first=not levels)
            levels.append(last)
            is_open = self._is_kept(levels)[:, -last.worth.shape[1] :]
        return self._trees(levels)

    def _next(self, branches: Branches, last: _Level, is_open: Tensor, is_first: bool) -> _Level:
        """The best of what is one token longer than the prefixes that are open [B, W]."""
        requests, slots = is_open.nonzero(as_tuple=True)
        rows = torch.zeros_like(last.tokens)
        rows[requests, slots] = torch.arange(len(requests), device=rows.device)
        origins = None if is_first else last.origins[requests, slots]
        probs = branches.expand(requests, last.tokens[requests, slots], origins)
        near = probs.topk(min(self._nodes, probs.shape[-1]), dim=-1)
        width = near.values.shape[-1]
        worth = last.worth.new_full((*is_open.shape, width), -torch.inf)
        worth[requests, slots] = _log(near.values) + last.worth[requests, slots].unsqueeze(1)
        choices = last.tokens.new_zeros(worth.shape)
        choices[requests, slots] = near.indices
        ranked, order = worth.flatten(1).sort(dim=1, descending=True, stable=True)
        order = order[:, : self._nodes]
        parents = order // width
        return _Level(
            ranked[:, : self._nodes],
            branches.token_ids(choices.flatten(1).gather(1, order)),
            parents,
            rows.gather(1, parents),
        )

    def _is_kept(self, levels: list[_Level]) -> Tensor:
        """[B, all places of all levels]: whether a prefix is among the best known so far."""
        worth = torch.cat([level.worth for level in levels], dim=1)
        order = worth.sort(dim=1, descending=True, stable=True).indices[:, : self._nodes]
        is_best = torch.zeros_like(worth, dtype=torch.bool).scatter_(1, order, True)
        return is_best & worth.isfinite()

    def _trees(self, levels: list[_Level]) -> list[DraftTree]:
        """What is kept, in order of falling survival, the shallower first where it is equal."""
        worth = torch.cat([level.worth for level in levels], dim=1)
        ranked = worth.sort(dim=1, descending=True, stable=True).indices[:, : self._nodes]
        counts = self._is_kept(levels).sum(1).tolist()
        starts = [0]
        for level in levels:
            starts.append(starts[-1] + level.worth.shape[1])
        tokens = torch.cat([level.tokens for level in levels], dim=1).tolist()
        behind = [torch.full_like(levels[0].parents, -1)]
        behind += [level.parents + start for level, start in zip(levels[1:], starts, strict=False)]
        parents = torch.cat(behind, dim=1).tolist()
        return [
            _tree(order[:count], own_tokens, own_parents)
            for order, count, own_tokens, own_parents in zip(
                ranked.tolist(), counts, tokens, parents, strict=True
            )
        ]


def _tree(order: list[int], tokens: list[int], parents: list[int]) -> DraftTree:
    """Nodes at these places, renumbered in this order."""
    numbers = {-1: -1, **{place: number for number, place in enumerate(order)}}
    return DraftTree(
        tuple(tokens[place] for place in order),
        tuple(numbers[parents[place]] for place in order),
    )


def _log(probs: Tensor) -> Tensor:
    """Never above 0: a prefix is worth no more than the one that it continues."""
    return probs.double().log().clamp_(max=0.0)
