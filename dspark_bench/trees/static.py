"""`static`: the same shape every cycle, given as paths of child ranks (Medusa, section 2.3).

[0] is the drafter's first choice behind the anchor, [1] its second; [0, 2] is its third choice
behind its first. A path needs the one that it continues.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Branches
from dspark_bench.core.types import DraftTree, TreeSpec

Path = tuple[int, ...]


class StaticTree:
    """Fills a fixed shape with the drafter's likeliest tokens."""

    def __init__(self, paths: list[list[int]]) -> None:
        """paths: of every node, in any order. Raises UsageError for what is no tree."""
        self._paths = _checked(paths)
        places = {path: place for place, path in enumerate(self._paths)}
        self._parents = tuple(places.get(path[:-1], -1) for path in self._paths)
        self.spec = TreeSpec(
            "static",
            len(self._paths),
            max(map(len, self._paths)),
            1 + max(max(path) for path in self._paths),
            has_survival=True,
        )

    def grow(self, branches: Branches, anchors: Tensor, depth: int) -> list[DraftTree]:
        """The shape for each anchor [B]. Raises UsageError for ranks that a drafter lacks."""
        if self.spec.num_choices > branches.num_choices:
            raise UsageError(
                f"tree.paths has the rank {self.spec.num_choices - 1}; valid for this drafter: "
                f"0 to {branches.num_choices - 1}"
            )
        size, device = anchors.shape[0], anchors.device
        tokens = anchors.new_zeros(size, len(self._paths))
        worth = torch.ones(tokens.shape, device=device)
        origins: Tensor | None = None
        for level in range(depth):
            inner = self._inner(level)
            own = [place for place, _ in inner]
            requests = torch.arange(size, device=device).repeat_interleave(len(inner))
            previous = anchors if level == 0 else tokens[:, own].flatten()
            if level:
                origins = self._origins(own, size, device)
            probs = branches.expand(requests, previous, origins)
            ranked = probs.topk(self.spec.num_choices, dim=-1)
            found = branches.token_ids(ranked.indices).view(size, len(inner), -1)
            shares = ranked.values.view(found.shape)
            for row, (node, children) in enumerate(inner):
                ranks = [self._paths[child][-1] for child in children]
                tokens[:, children] = found[:, row, ranks]
                before = worth[:, node].unsqueeze(1) if node >= 0 else 1.0
                worth[:, children] = shares[:, row, ranks] * before
        return [
            DraftTree(tuple(own), self._parents, survival=tuple(values))
            for own, values in zip(tokens.tolist(), worth.tolist(), strict=True)
        ]

    def _inner(self, level: int) -> list[tuple[int, list[int]]]:
        """Nodes that have children, this many tokens behind the anchor; -1 is the anchor itself."""
        found: dict[int, list[int]] = {}
        for node, path in enumerate(self._paths):
            if len(path) == level + 1:
                found.setdefault(self._parents[node], []).append(node)
        return sorted(found.items())

    def _origins(self, nodes: Sequence[int], size: int, device: torch.device) -> Tensor:
        """Rows of the call before, in which these nodes' parents were expanded; [B * n]."""
        before = [place for place, _ in self._inner(len(self._paths[nodes[0]]) - 1)]
        rows = torch.tensor([before.index(self._parents[node]) for node in nodes], device=device)
        starts = torch.arange(size, device=device).unsqueeze(1) * len(before)
        return (starts + rows).flatten()


def _checked(paths: object) -> list[Path]:
    """Paths by rising length, each once. Raises UsageError."""
    valid = "valid: a list of paths such as [[0],[1],[0,0]]"
    if not isinstance(paths, list) or not paths:
        raise UsageError(f"tree.paths is {paths!r}; {valid}")
    for path in paths:
        if not isinstance(path, list) or not path or not all(map(_is_rank, path)):
            raise UsageError(f"tree.paths holds {path!r}; {valid}, of ranks from 0")
    known = {tuple(path) for path in paths}
    if len(known) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise UsageError(f"tree.paths holds {twice!r} twice; valid: every path once")
    for path in paths:
        if len(path) > 1 and tuple(path[:-1]) not in known:
            raise UsageError(
                f"tree.paths holds {path!r} without {path[:-1]!r}; valid: every path together with "
                "the one that it continues"
            )
    return sorted(known, key=lambda path: (len(path), path))


def _is_rank(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
