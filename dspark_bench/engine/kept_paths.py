"""Where a tree's accepted nodes belong: behind the context, as a chain's would lie."""

import torch

from dspark_bench.engine.commit import Commit
from dspark_bench.models.kv_cache import KVCache


def keep_paths(commit: Commit, cache: KVCache) -> None:
    """Move what the cache holds of the nodes on accepted paths. Requests that end are left."""
    sources: list[int] = []
    targets: list[int] = []
    for outcome in commit.outcomes:
        if outcome.path is None or outcome.reason is not None:
            continue
        state = outcome.state
        first = state.row * cache.max_len + state.context_len - outcome.num_accepted
        for place, node in enumerate(outcome.path):
            if node != place:
                sources.append(first + node)
                targets.append(first + place)
    if sources:
        slots = torch.tensor([sources, targets], device=cache.keys.device)
        cache.move(slots[0], slots[1])
