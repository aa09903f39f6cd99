"""`sampled`: a fixed number of children at each depth, drawn from the drafter's distributions.

SpecInfer (Miao et al. 2024, section 3) draws siblings independently, with `replacement`; Sequoia
draws them without, so that no node repeats another. Each node keeps the distribution that it was
really drawn from, which `acceptance=multiround` needs. A sibling that repeats another can never be
accepted and has no children. Greedy decoding draws nothing: the likeliest tokens take the places.
"""

from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.sampling import sample
from dspark_bench.core.types import DraftTree, TreeSpec

MOST_NODES = 1024


@dataclass(frozen=True, slots=True)
class _Level:
    """The n x W places of one depth, W for each of n prefixes.

    choices [n, W]: what was chosen; laws [n, W, U]: what from (None where nothing was drawn);
    is_there, is_new [n, W]: whether anything could be chosen, and whether no sibling before it is
    the same.
    """

    choices: Tensor
    laws: Tensor | None
    is_there: Tensor
    is_new: Tensor


@dataclass(frozen=True, slots=True)
class _Prefixes:
    """Prefixes that may go on: whose, their last token, the row of the expansion that gave it, the
    node's number in its tree, and its place among those of its depth: [n] each.
    """

    requests: Tensor
    tokens: Tensor
    origins: Tensor | None
    nodes: Tensor
    slots: Tensor


class SampledTree:
    """Draws `widths[d]` children for every node of depth d, the anchor being of depth 0."""

    def __init__(self, widths: list[int], replacement: bool = False) -> None:
        """See conf/tree/sampled.yaml. Raises UsageError for what is no tree."""
        if not isinstance(widths, list) or not widths or not all(map(_is_width, widths)):
            raise UsageError(
                f"tree.widths is {widths!r}; valid: a list such as [3,2,1], of numbers from 1"
            )
        self._sizes = list(accumulate(widths, mul))
        if sum(self._sizes) > MOST_NODES:
            raise UsageError(
                f"tree.widths makes {sum(self._sizes)} nodes; valid: up to {MOST_NODES}"
            )
        self._widths = widths
        self._replaces = replacement
        self.spec = TreeSpec("sampled", sum(self._sizes), len(widths), 1, is_sampled=True)

    def grow(self, branches: Branches, anchors: Tensor, depth: int) -> list[DraftTree]:
        """The likeliest tokens in the shape, for each of the anchors [B]."""
        return self._grow(branches, anchors, depth, None)

    def draw(
        self, branches: Branches, anchors: Tensor, depth: int, uniform: Tensor
    ) -> list[DraftTree]:
        """A tree for each of the anchors [B], with what its nodes were drawn from.

        uniform [B, nodes]: a number for each place of the shape.
        """
        return self._grow(branches, anchors, depth, uniform)

    def _grow(
        self, branches: Branches, anchors: Tensor, depth: int, uniform: Tensor | None
    ) -> list[DraftTree]:
        size = anchors.shape[0]
        trees = [_Growing() for _ in range(size)]
        every = torch.arange(size, device=anchors.device)
        open_ = _Prefixes(every, anchors, None, torch.full_like(every, -1), torch.zeros_like(every))
        first = 0
        for width, places in zip(self._widths[:depth], self._sizes, strict=False):
            probs = branches.expand(open_.requests, open_.tokens, open_.origins)
            if uniform is None:
                level = _likeliest(probs, width)
            else:
                column = first + open_.slots.unsqueeze(1) * width
                column = column + torch.arange(width, device=column.device)
                level = self._drawn(probs, uniform[open_.requests.unsqueeze(1), column])
            open_ = _append(trees, branches, open_, level)
            first += places
            if not len(open_.requests):
                break
        return [tree.finish() for tree in trees]

    def _drawn(self, probs: Tensor, uniform: Tensor) -> _Level:
        """Children from probs [n, U] with numbers uniform [n, W], one after the other."""
        rest = probs
        choices: list[Tensor] = []
        laws, is_there, is_new = [], [], []
        for rank in range(uniform.shape[1]):
            total = rest.sum(-1, keepdim=True)
            chosen = sample(rest, uniform[:, rank]).clamp_(max=probs.shape[1] - 1)
            laws.append(rest / total.clamp(min=torch.finfo(rest.dtype).tiny))
            is_there.append(total.squeeze(1) > 0)
            repeats = [chosen == before for before in choices]
            is_new.append(~torch.stack(repeats).any(0) if repeats else torch.ones_like(is_there[0]))
            choices.append(chosen)
            if not self._replaces:
                rest = rest.scatter(-1, chosen.unsqueeze(1), 0.0)
        tables = (torch.stack(table, dim=1) for table in (choices, laws, is_there, is_new))
        return _Level(*tables)


class _Growing:
    """One request's tree. Mutated by `_append` alone."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.laws: list[Tensor] = []

    def finish(self) -> DraftTree:
        probs = torch.stack(self.laws) if self.laws else None
        return DraftTree(tuple(self.tokens), tuple(self.parents), probs)


def _append(
    trees: list[_Growing], branches: Branches, prefixes: _Prefixes, level: _Level
) -> _Prefixes:
    """Add what was chosen to the trees; the prefixes that this makes."""
    tokens = branches.token_ids(level.choices.flatten()).view(level.choices.shape)
    laws = None if level.laws is None else _spread(level.laws, branches)
    rows, ranks = level.is_there.nonzero(as_tuple=True)
    numbers = torch.zeros_like(tokens)
    owners, above = prefixes.requests[rows].tolist(), prefixes.nodes[rows].tolist()
    found: list[int] = []
    for owner, parent, token in zip(owners, above, tokens[rows, ranks].tolist(), strict=True):
        tree = trees[owner]
        found.append(len(tree.tokens))
        tree.tokens.append(token)
        tree.parents.append(parent)
    if laws is not None:
        for owner, law in zip(owners, laws[rows, ranks].unbind(), strict=True):
            trees[owner].laws.append(law)
    numbers[rows, ranks] = torch.tensor(found, dtype=numbers.dtype, device=numbers.device)
    rows, ranks = (level.is_there & level.is_new).nonzero(as_tuple=True)
    slots = prefixes.slots[rows] * tokens.shape[1] + ranks
    return _Prefixes(
        prefixes.requests[rows], tokens[rows, ranks], rows, numbers[rows, ranks], slots
    )


def _likeliest(probs: Tensor, width: int) -> _Level:
    best = probs.topk(min(width, probs.shape[1]), dim=-1)
    return _Level(best.indices, None, best.values > 0, torch.ones_like(best.indices).bool())


def _spread(laws: Tensor, branches: Branches) -> Tensor:
    """laws [n, W, U] of the tokens that can be drafted -> over the target's, as far as they go."""
    ids = branches.token_ids(torch.arange(laws.shape[-1], device=laws.device))
    size = int(ids.max()) + 1
    if size == laws.shape[-1] and bool((ids[1:] > ids[:-1]).all()):
        return laws
    return laws.new_zeros(*laws.shape[:-1], size).index_copy_(-1, ids, laws)


def _is_width(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
