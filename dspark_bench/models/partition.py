"""Which requests of a ragged batch share one attention call.

A shared call pads every query to the longest, a call of its own has a fixed price. Requests that
decode belong together, a prompt does not belong with them: one of 30 tokens would make each of 64
attend with 30 queries.
"""

from collections.abc import Sequence
from itertools import accumulate

GROUP_MAX_QUERY = 32
"""No longer query shares a call: the padded mask grows with its square."""
CALL_QUERIES = 32
"""What a call of its own costs, in padded queries of one request (measured on CPU: 20 to 40)."""


def partition(query_lens: Sequence[int], rows: Sequence[int]) -> list[list[int]]:
    """Indices of requests per attention call: the short queries together, each other one alone.

    The shared ones are in order of their cache rows, because neighbouring rows need no copy of
    their keys.
    """
    limit = _longest_shared(query_lens)
    short = [i for i, length in enumerate(query_lens) if length <= limit]
    short.sort(key=lambda i: rows[i])
    alone = [[i] for i, length in enumerate(query_lens) if length > limit]
    return ([short] if short else []) + alone


def _longest_shared(query_lens: Sequence[int]) -> int:
    """The length up to which sharing one call costs the fewest queries in all; 0: nobody shares."""
    ordered = sorted(query_lens)
    shared = [length for length in ordered if length <= GROUP_MAX_QUERY]
    if not shared or ordered[0] == ordered[-1]:
        return shared[-1] if shared else 0
    spent = [0, *accumulate(length + CALL_QUERIES for length in reversed(ordered))]
    costs = [
        (count * length + spent[len(ordered) - count], length)
        for count, length in enumerate(shared, start=1)
    ]
    return min(costs)[1]
