"""Which requests of a ragged batch share one attention call.

A call pads every query to its longest and has a fixed price, and only neighbouring cache rows are
read without a copy. So the batch, in order of rows, is cut where that saves more padding than
another call costs: a prompt of 30 tokens, or drafts of 8 among drafts of 1, would otherwise make
all the others attend with as many queries.
"""

from collections.abc import Sequence
from itertools import accumulate

GROUP_MAX_QUERY = 32
"""No longer query shares a call: the padded mask grows with its square."""
CALL_QUERIES = 16
"""What another call costs, in padded queries of one request (measured on CPU: 15 to 20)."""


def partition(query_lens: Sequence[int], rows: Sequence[int]) -> list[list[int]]:
    """Indices of requests per attention call, each call's in order of their cache rows."""
    short = [i for i, length in enumerate(query_lens) if length <= GROUP_MAX_QUERY]
    short.sort(key=lambda i: rows[i])
    groups = []
    start = 0
    for end in _ends([query_lens[i] for i in short]):
        groups.append(short[start:end])
        start = end
    return groups + [[i] for i, length in enumerate(query_lens) if length > GROUP_MAX_QUERY]


def _ends(lens: Sequence[int]) -> list[int]:
    """Where each call ends: the best single cut, then the best cuts of both parts, while it pays.

    lens [n]: of neighbouring requests.
    """
    if not lens:
        return []
    longest = max(lens)
    if longest == min(lens):
        return [len(lens)]
    before = list(accumulate(lens, max))
    after = list(accumulate(reversed(lens), max))[::-1]
    costs = [
        place * before[place - 1] + (len(lens) - place) * after[place]
        for place in range(1, len(lens))
    ]
    least = min(costs)
    if least + CALL_QUERIES >= len(lens) * longest:
        return [len(lens)]
    cut = costs.index(least) + 1
    return _ends(lens[:cut]) + [cut + end for end in _ends(lens[cut:])]
