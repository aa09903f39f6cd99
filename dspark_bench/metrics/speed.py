"""Tokens per second of both arms, and their ratio. Empty case: NaN.

Steady part: in a closed loop of concurrency 1 everything but warm-up, of concurrency N the cycles
whose batch is full. Cycles of one arm tile wall time, prefills included. Latency ratios compare the
requests that both arms of a block served.
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


def tok_s_per_user(sums: Sums) -> FloatArray:
    """Mean over answered requests of 1/tpot, tokens per second: an axis of the paper's Figure 7.

    A mean of ratios by definition: it describes users, not the machine.
    """
    return ratio(sums.user_tok_s, sums.users)


def baseline_tok_s_per_user(sums: Sums) -> FloatArray:
    """`tok_s_per_user` of the paired baseline."""
    return ratio(sums.baseline_user_tok_s, sums.baseline_users)


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


def goodput_req_s(sums: Sums) -> FloatArray:
    """Requests per second of a turn's span that met the objective, speculative arm."""
    return ratio(sums.met, sums.span_s)


def slo_attainment(sums: Sums) -> FloatArray:
    """Share of the requests that fell due and met the objective, speculative arm."""
    return ratio(sums.met, sums.arrived)


def baseline_goodput_req_s(sums: Sums) -> FloatArray:
    """`goodput_req_s` of the paired baseline."""
    return ratio(sums.baseline_met, sums.baseline_span_s)


def baseline_slo_attainment(sums: Sums) -> FloatArray:
    """`slo_attainment` of the paired baseline."""
    return ratio(sums.baseline_met, sums.baseline_arrived)


def speedup_formula(is_closed: bool) -> tuple[str, Callable[[Sums], FloatArray]]:
    """`speedup_basis` and the formula that goes with it."""
    return (CLOSED_BASIS, speedup_closed) if is_closed else (OPEN_BASIS, speedup_open)
