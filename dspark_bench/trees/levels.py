"""Trees grown depth by depth: what the policies that look at worth have in common.

A prefix is worth the product of its tokens' draft probabilities: its estimated survival. The sum of
those over a tree's nodes is its expected accepted depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree

MOST_NODES = 1024


@dataclass(frozen=True, slots=True)
class Level:
    """Prefixes of one depth, W for each of B requests, by falling worth.

    worth [B, W] float64: log of the survival, -inf where there is none; tokens [B, W]: last token;
    parents [B, W]: place in the level before; origins [B, W]: row of the expansion that gave them.
    """

    worth: Tensor
    tokens: Tensor
    parents: Tensor
    origins: Tensor


def check_nodes(nodes: int) -> None:
    """Raise UsageError unless 1 to MOST_NODES."""
    if not 1 <= nodes <= MOST_NODES:
        raise UsageError(f"tree.nodes is {nodes}; valid: 1 to {MOST_NODES}")


def first_level(branches: Branches, anchors: Tensor, width: int) -> Level:
    """The `width` likeliest tokens behind anchors [B]."""
    none = torch.zeros_like(anchors).unsqueeze(1)
    root = Level(none.double(), anchors.unsqueeze(1), none, none)
    is_open = torch.ones_like(none, dtype=torch.bool)
    return _expanded(branches, root, is_open, None, width, None)


def next_level(
    branches: Branches, last: Level, is_open: Tensor, width: int, keep: int | None = None
) -> Level:
    """The `width` likeliest tokens behind each prefix that is open [B, W].

    keep: how many of them are looked at further, the best; None: all.
    """
    return _expanded(branches, last, is_open, last.origins[is_open], width, keep)


def _expanded(
    branches: Branches,
    last: Level,
    is_open: Tensor,
    origins: Tensor | None,
    width: int,
    keep: int | None,
) -> Level:
    requests, slots = is_open.nonzero(as_tuple=True)
    probs = branches.expand(requests, last.tokens[requests, slots], origins)
    near = probs.topk(min(width, probs.shape[-1]), dim=-1)
    width = near.values.shape[-1]
    columns = (is_open.long().cumsum(1) - 1)[requests, slots]
    shape = (is_open.shape[0], int(columns.max()) + 1)
    behind, rows = last.tokens.new_zeros(2, *shape)
    behind[requests, columns] = slots
    rows[requests, columns] = torch.arange(len(requests), device=rows.device)
    worth = last.worth.new_full((*shape, width), -torch.inf)
    worth[requests, columns] = _log(near.values) + last.worth[requests, slots].unsqueeze(1)
    choices = last.tokens.new_zeros(worth.shape)
    choices[requests, columns] = near.indices
    ranked, order = worth.flatten(1).sort(dim=1, descending=True, stable=True)
    order = order[:, :keep]
    return Level(
        ranked[:, :keep],
        branches.token_ids(choices.flatten(1).gather(1, order)),
        behind.gather(1, order // width),
        rows.gather(1, order // width),
    )


def ranking(levels: Sequence[Level]) -> tuple[Tensor, Tensor]:
    """Places [B, all places of all levels] by falling worth, the shallower first where it is equal;
    and what they are worth.
    """
    worth = torch.cat([level.worth for level in levels], dim=1)
    found = worth.sort(dim=1, descending=True, stable=True)
    return found.indices, found.values


def is_among_best(levels: Sequence[Level], nodes: int) -> Tensor:
    """[B, all places of all levels]: whether a prefix is one of the `nodes` best known so far."""
    order, worth = ranking(levels)
    is_best = torch.zeros_like(worth, dtype=torch.bool).scatter_(1, order[:, :nodes], True)
    return is_best & torch.cat([level.worth for level in levels], dim=1).isfinite()


def places_behind(levels: Sequence[Level]) -> Tensor:
    """[B, all places of all levels]: the place of each prefix's parent, -1 for the anchor."""
    behind, start = [torch.full_like(levels[0].parents, -1)], 0
    for before, level in pairwise(levels):
        behind.append(level.parents + start)
        start += before.worth.shape[1]
    return torch.cat(behind, dim=1)


def best_trees(levels: Sequence[Level], nodes: int) -> list[DraftTree]:
    """The `nodes` best prefixes, in order of falling survival."""
    counts = is_among_best(levels, nodes).sum(1).tolist()
    order = ranking(levels)[0].tolist()
    return trees_of(levels, [own[:count] for own, count in zip(order, counts, strict=True)])


def trees_of(levels: Sequence[Level], places: Sequence[Sequence[int]]) -> list[DraftTree]:
    """Of each request the prefixes at `places`, numbered in that order: parents first."""
    tokens = torch.cat([level.tokens for level in levels], dim=1).tolist()
    parents = places_behind(levels).tolist()
    worth = torch.cat([level.worth for level in levels], dim=1).exp().tolist()
    return [_tree(*parts) for parts in zip(places, tokens, parents, worth, strict=True)]


def _tree(
    order: Sequence[int], tokens: list[int], parents: list[int], worth: list[float]
) -> DraftTree:
    numbers = {-1: -1, **{place: number for number, place in enumerate(order)}}
    return DraftTree(
        tuple(tokens[place] for place in order),
        tuple(numbers[parents[place]] for place in order),
        survival=tuple(worth[place] for place in order),
    )


def _log(probs: Tensor) -> Tensor:
    """Never above 0: a prefix is worth no more than the one that it continues."""
    return probs.double().log().clamp_(max=0.0)
