"""A drafter and a tree policy as one drafter whose proposals are trees."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import BranchingDrafter, DrawnTreePolicy, TreePolicy
from dspark_bench.core.tree import check_parents, falling_order, node_depths
from dspark_bench.core.types import ContextUpdate, DraftBatch, DraftTree, Proposal
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.shared_cache import share_cache

ROUNDING = 1e-5


class TreeDrafts:
    """Grows a tree for every request from one pass of the drafter. See `Drafter`.

    Its trees follow from the context alone and carry no probabilities: they are judged by a rule
    that needs none. When sampling, a policy that draws its trees says what from.

    Where a scheduler may cut them, nodes come by falling survival, so that the first l are a tree,
    the best of l nodes. How many are verified may then depend on the whole tree: nothing of it is
    drawn, so no draw is anticipated.
    """

    def __init__(self, drafter: BranchingDrafter, policy: TreePolicy) -> None:
        """Raises UsageError for a drafter that cannot branch, or a policy that cannot draw."""
        if not drafter.spec.can_branch:
            raise UsageError(f"drafter {drafter.spec.name} drafts chains only; valid: tree=none")
        if policy.spec.is_sampled and not hasattr(policy, "draw"):
            raise UsageError(
                f"{type(policy).__name__}.spec.is_sampled is true, but it lacks draw; valid: both "
                "or none"
            )
        self._drafter = drafter
        self._policy = policy
        self.spec = replace(
            drafter.spec,
            has_confidence=False,
            can_branch=False,
            num_nodes=policy.spec.num_nodes,
            draws_nodes=policy.spec.is_sampled,
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """See `Drafter`."""
        self._drafter.allocate(num_rows, max_len)

    def share(self, cache: KVCache) -> None:
        """See `models.shared_cache.CacheReader`."""
        share_cache(self._drafter, cache)

    def extend(self, update: ContextUpdate) -> None:
        """See `Drafter`."""
        self._drafter.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """A tree for each request, as deep as the policy goes and as drafts are asked for.

        Raises UsageError for drafts of unequal length, and for what a policy must not give.
        """
        depth = batch.num_slots
        if any(length != depth for length in batch.draft_lens):
            raise UsageError(
                f"trees of unequal depth were asked for, {list(batch.draft_lens)}; valid: one depth"
            )
        wanted = self._policy.spec.depth or depth
        if wanted > depth:
            raise UsageError(
                f"tree={self._policy.spec.name} is {wanted} deep, gamma is {depth}; valid: a tree "
                "no deeper than gamma"
            )
        depth = wanted
        lens = (depth,) * len(batch.rows)
        branches = self._drafter.branch(
            replace(batch, draft_lens=lens, uniform=batch.uniform[:, :depth])
        )
        if self._policy.spec.is_sampled and not batch.sampling.is_greedy:
            policy = cast(DrawnTreePolicy, self._policy)
            trees = policy.draw(branches, batch.anchors, depth, batch.uniform)
        else:
            trees = self._policy.grow(branches, batch.anchors, depth)
        self._check(trees, len(batch.rows), depth)
        if batch.wants_confidence:
            trees = [self._in_order(tree) for tree in trees]
        return _proposal(trees, batch)

    def _in_order(self, tree: DraftTree) -> DraftTree:
        """The same nodes by falling survival. Raises UsageError for one without estimates."""
        name, values = self._policy.spec.name, tree.survival
        if not self._policy.spec.has_survival or len(values) != len(tree.parents):
            raise UsageError(
                f"tree={name} does not say what its nodes are worth, so no scheduler can cut it; "
                "valid with it: fixed"
            )
        if not all(0 <= value <= 1 + ROUNDING for value in values):
            raise UsageError(f"tree={name} gave survival {list(values)}; valid: 0 to 1")
        falling: list[float] = []
        for parent, value in zip(tree.parents, values, strict=True):
            falling.append(min(value, falling[parent] if parent >= 0 else 1.0))
        order = falling_order(tree.parents, falling)
        numbers = {-1: -1, **{node: number for number, node in enumerate(order)}}
        return replace(
            tree,
            token_ids=tuple(tree.token_ids[node] for node in order),
            parents=tuple(numbers[tree.parents[node]] for node in order),
            survival=tuple(falling[node] for node in order),
        )

    def _check(self, trees: Sequence[DraftTree], num_requests: int, depth: int) -> None:
        owner = f"{type(self._policy).__name__}.grow"
        if len(trees) != num_requests:
            raise UsageError(f"{owner} gave {len(trees)} trees; valid: {num_requests}")
        most = self._policy.spec.num_nodes
        for tree in trees:
            check_parents(owner, tree.parents, tree.token_ids, self._policy.spec.is_sampled)
            deepest = 1 + max(node_depths(tree.parents), default=-1)
            if len(tree.parents) > most or deepest > depth:
                raise UsageError(
                    f"{owner} gave {len(tree.parents)} nodes to depth {deepest}; valid: up to "
                    f"{most} nodes, depth {depth}"
                )


def _proposal(trees: Sequence[DraftTree], batch: DraftBatch) -> Proposal:
    width = max(1, *(len(tree.token_ids) for tree in trees))
    table = [(*tree.token_ids, *(0,) * (width - len(tree.token_ids))) for tree in trees]
    return Proposal(
        torch.tensor(table, device=batch.anchors.device),
        _drawn_from(trees, width),
        None,
        draft_lens=tuple(len(tree.token_ids) for tree in trees),
        parents=tuple(tree.parents for tree in trees),
        survival=_survival(trees, width, batch) if batch.wants_confidence else None,
    )


def _drawn_from(trees: Sequence[DraftTree], width: int) -> Tensor | None:
    """What nodes were drawn from [B, width, W], 0 where there is none; None: nothing was drawn."""
    known = [(place, tree.probs) for place, tree in enumerate(trees) if tree.probs is not None]
    if not known:
        return None
    table = known[0][1].new_zeros(len(trees), width, known[0][1].shape[1])
    for place, probs in known:
        table[place, : probs.shape[0]] = probs
    return table


def _survival(trees: Sequence[DraftTree], width: int, batch: DraftBatch) -> Tensor:
    """[B, width], zeros past each tree's nodes."""
    table = [(*tree.survival, *(0.0,) * (width - len(tree.survival))) for tree in trees]
    return torch.tensor(table, device=batch.anchors.device)
