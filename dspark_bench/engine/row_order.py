"""Keeps requests that verify much in neighbouring cache rows.

Only neighbouring rows share an attention call without a copy, and a call pads to its longest query
(`models.partition`). Where some requests verify eight tokens and others one, scattered rows would
pad them all; in order of width, two or three calls hold them almost without padding. Exchanging two
rows costs about what it saves in a cycle, so it is done for lasting differences only: requests keep
their width for long, because it goes with what they write.
"""

from collections.abc import Sequence

from dspark_bench.engine.state import ActiveRequest
from dspark_bench.models.kv_cache import KVCache

LEAST_REQUESTS = 8
"""Batches below this have little padding to save."""
RECENT = 0.15
"""Weight of a new cycle in a request's width."""
LEAST_DIFFERENCE = 2.0
"""Tokens by which the width of two requests must differ to be exchanged."""
MOST_SWAPS = 2
"""Exchanges per cycle: no cycle takes much longer than its neighbours."""


def order_rows(states: Sequence[ActiveRequest], verify_lens: Sequence[int], cache: KVCache) -> None:
    """Move towards rows in order of falling width. Mutates widths, rows and the cache.

    With equal verify lengths nothing moves. What a request computes does not depend on its row.
    """
    decoding = []
    for state, length in zip(states, verify_lens, strict=True):
        if not state.needs_prefill:
            state.width += RECENT * (length - state.width)
            decoding.append(state)
    if len(states) < LEAST_REQUESTS:
        return
    decoding.sort(key=lambda state: state.row)
    for _ in range(MOST_SWAPS):
        pair = _worst_pair(decoding)
        if pair is None:
            return
        narrow, wide = pair
        first, second = decoding[narrow], decoding[wide]
        cache.swap(first.row, second.row)
        first.row, second.row = second.row, first.row
        decoding[narrow], decoding[wide] = second, first


def _worst_pair(states: Sequence[ActiveRequest]) -> tuple[int, int] | None:
    """The narrow request and the wide one behind it that differ most; None: none differ enough."""
    worst, pair, narrowest = LEAST_DIFFERENCE, None, 0
    for place, state in enumerate(states):
        difference = state.width - states[narrowest].width
        if difference > worst:
            worst, pair = difference, (narrowest, place)
        if difference < 0:
            narrowest = place
    return pair
