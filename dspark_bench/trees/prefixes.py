"""Drafted prefixes and what they are worth: the ground of the policies that look at worth.

A prefix is worth the product of its tokens' draft probabilities: its estimated survival. The sum of
those over a tree's nodes is its expected accepted depth. Policies grow depth by depth, all requests
at once; distributions stay where the drafter made them, the few prefixes chosen lie in small
arrays, as many operations on next to nothing are cheaper there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree

MOST_NODES = 1024
_MARGIN = 1e-6
"""Share by which a limit in fp32 is lowered, so that rounding never hides what is worth more."""

Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Choices = tuple[Numbers, Numbers, npt.NDArray[np.float32]]
"""Rows, places in the row and probabilities of the tokens that are looked at [m] each, by row."""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """P prefixes, each known by its place; parents come before their children.

    requests [P]: whose; tokens [P]: last token; parents [P]: place of the prefix that it continues,
    -1 for the anchor; rows [P]: row of the expansion that gave it; worth [P]: log of the survival.
    """

    requests: Numbers
    tokens: Numbers
    parents: Numbers
    rows: Numbers
    worth: Values

    def __len__(self) -> int:
        return len(self.worth)

    def at(self, places: Numbers | slice) -> "Prefixes":
        """Those at `places`; what they say of their parents stays as it is."""
        return Prefixes(
            self.requests[places],
            self.tokens[places],
            self.parents[places],
            self.rows[places],
            self.worth[places],
        )

    def and_then(self, others: "Prefixes") -> "Prefixes":
        """These and behind them the others."""
        return Prefixes(
            np.append(self.requests, others.requests),
            np.append(self.tokens, others.tokens),
            np.append(self.parents, others.parents),
            np.append(self.rows, others.rows),
            np.append(self.worth, others.worth),
        )

    def ranked(self) -> Numbers:
        """All places, request by request, each request's by falling worth, the earlier one first
        where it is equal.
        """
        return np.lexsort((-self.worth, self.requests))


def check_nodes(nodes: int) -> None:
    """Raise UsageError unless 1 to MOST_NODES."""
    if not 1 <= nodes <= MOST_NODES:
        raise UsageError(f"tree.nodes is {nodes}; valid: 1 to {MOST_NODES}")


def first(branches: Branches, anchors: Tensor, width: int) -> Prefixes:
    """The `width` likeliest tokens behind each of the anchors [B]."""
    requests = np.arange(len(anchors))
    probs = branches.expand(torch.arange(len(anchors), device=anchors.device), anchors, None)
    none = np.full(len(anchors), -1)
    start = Prefixes(requests, none, none, none, np.zeros(len(anchors)))
    return _children(branches, start, none, likeliest(probs, width))


def behind(
    branches: Branches,
    known: Prefixes,
    places: Numbers,
    look: Callable[[Tensor], Choices],
    device: torch.device,
) -> Prefixes:
    """What `look` chooses behind the prefixes at `places`, all of the depth expanded last."""
    last = known.at(places)
    requests, tokens, rows = (
        torch.from_numpy(part).to(device) for part in (last.requests, last.tokens, last.rows)
    )
    return _children(branches, last, places, look(branches.expand(requests, tokens, rows)))


def likeliest(probs: Tensor, width: int) -> Choices:
    """The `width` likeliest of each row of probs [n, U], the likelier first; never one of 0."""
    near = probs.topk(min(width, probs.shape[1]), dim=1)
    values, choices = near.values.float().cpu().numpy(), near.indices.cpu().numpy()
    rows, ranks = np.nonzero(values > 0)
    return rows, choices[rows, ranks], values[rows, ranks]


def likelier_than(probs: Tensor, limits: Values) -> Choices:
    """All of row i of probs [n, U] above limits[i], of 0 or more."""
    lowered = (limits * (1 - _MARGIN)).astype(np.float32)[:, None]
    if probs.device.type == "cpu":
        return _above(probs.float().numpy(), lowered)
    return _above_on_device(probs, torch.from_numpy(lowered).to(probs.device))


def _above(probs: npt.NDArray[np.float32], limits: npt.NDArray[np.float32]) -> Choices:
    """Some five times as fast as torch's own operations are on a processor."""
    rows, choices = np.divmod(np.flatnonzero(probs > limits), probs.shape[1])
    return rows, choices, probs[rows, choices]


def _above_on_device(probs: Tensor, limits: Tensor) -> Choices:
    where = (probs > limits).nonzero(as_tuple=True)
    rows, choices = (part.cpu().numpy() for part in where)
    return rows, choices, probs[where].float().cpu().numpy()


def best_of_each(known: Prefixes, count: int) -> Numbers:
    """Places of each request's `count` best, request by request, by falling worth."""
    order = known.ranked()
    return order[_rank_in_request(known.requests[order]) < count]


def trees_of(known: Prefixes, places: Numbers, num_requests: int) -> list[DraftTree]:
    """Of each request the prefixes at `places`, numbered in that order: parents first."""
    kept = known.at(places)
    numbers = np.full(len(known) + 1, -1)
    numbers[places] = _rank_in_request(kept.requests)
    ends = np.searchsorted(kept.requests, np.arange(num_requests + 1))
    columns = (kept.tokens.tolist(), numbers[kept.parents].tolist(), np.exp(kept.worth).tolist())
    return [_tree(*(part[a:b] for part in columns)) for a, b in pairwise(ends.tolist())]


def _tree(tokens: list[int], parents: list[int], survival: list[float]) -> DraftTree:
    return DraftTree(tuple(tokens), tuple(parents), survival=tuple(survival))


def _rank_in_request(requests: Numbers) -> Numbers:
    """0, 1, 2, ... anew for each run of equal requests [m], ascending."""
    return np.arange(len(requests)) - np.searchsorted(requests, requests)


def _children(branches: Branches, last: Prefixes, places: Numbers, found: Choices) -> Prefixes:
    rows, choices, probs = found
    return Prefixes(
        last.requests[rows],
        branches.token_ids(torch.from_numpy(choices)).numpy(),
        places[rows],
        rows,
        last.worth[rows] + _log(probs),
    )


def _log(probs: npt.NDArray[np.float32]) -> Values:
    """Never above 0: a prefix is worth no more than the one that it continues."""
    return np.minimum(np.log(probs.astype(np.float64)), 0.0)
