"""Tokens per second of both arms, and their ratio. Empty case: NaN.

Steady part: in a closed loop of concurrency 1 everything but warm-up, of concurrency N the cycles
whose batch is full. Cycles of one arm tile wall time, prefills included.
"""

from collections.abc import Callable
from typing import Final

from dspark_bench.metrics.sums import FloatArray, Sums, ratio

CLOSED_BASIS: Final = "closed_throughput"
OPEN_BASIS: Final = "open_time_per_token"


def throughput_tok_s(sums: Sums) -> FloatArray:
    """Emitted tokens per second of the speculative arm over the steady part."""
    return ratio(sums.tokens, sums.time_s)


def baseline_tok_s(sums: Sums) -> FloatArray:
    """Emitted tokens per second of the paired baseline over its steady part."""
    return ratio(sums.baseline_tokens, sums.baseline_time_s)


def speedup_closed(sums: Sums) -> FloatArray:
    """S = throughput_tok_s / baseline_tok_s, both over the steady part of a closed loop."""
    return ratio(throughput_tok_s(sums), baseline_tok_s(sums))


def speedup_open(sums: Sums) -> FloatArray:
    """S = mean time per output token after the first, baseline over speculative.

    Below saturation both arms emit at the arrival rate, so their throughput says nothing.
    """
    baseline = ratio(sums.baseline_decode_s, sums.baseline_decode_tokens)
    return ratio(baseline, ratio(sums.decode_s, sums.decode_tokens))


def speedup_e2e(sums: Sums) -> FloatArray:
    """Mean seconds from scheduled arrival to last token, baseline over speculative."""
    baseline = ratio(sums.baseline_e2e_s, sums.baseline_requests)
    return ratio(baseline, ratio(sums.e2e_s, sums.requests))


def speedup_formula(is_closed: bool) -> tuple[str, Callable[[Sums], FloatArray]]:
    """`speedup_basis` and the formula that goes with it."""
    return (CLOSED_BASIS, speedup_closed) if is_closed else (OPEN_BASIS, speedup_open)
