"""A target's cache in the hands of a drafter that reads it."""

from typing import Protocol, cast

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Drafter
from dspark_bench.models.kv_cache import KVCache


class CacheReader(Drafter, Protocol):
    """A drafter that reads its target's cache: `spec.reads_target_cache`.

    `DraftBatch.target_rows` says where a request lies in it. A proposal leaves the positions before
    `context_lens` alone. Those from there on are free until it returns: the target's next pass
    writes each of them before anything reads it.
    """

    def share(self, cache: KVCache) -> None:
        """The cache that is meant from now on; called after each `allocate`."""
        ...


def share_cache(drafter: Drafter, cache: KVCache) -> None:
    """Hand over the target's cache, if the drafter reads it. Raises UsageError if it cannot."""
    if not drafter.spec.reads_target_cache:
        return
    if not hasattr(drafter, "share"):
        raise UsageError(
            f"{type(drafter).__name__} reads its target's cache (spec.reads_target_cache) but has "
            "no method `share`; valid: one that takes the cache"
        )
    cast(CacheReader, drafter).share(cache)
