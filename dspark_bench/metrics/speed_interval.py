"""The 95 % interval of S and what it rests on: never a number without saying how sure it is."""

import math

import numpy as np

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import MIN_UNITS, SHARE, log_ratio, log_ratio_interval
from dspark_bench.metrics.strata import IntArray, strata_of
from dspark_bench.metrics.sums import FloatArray, Pooling, Sums

_PROMPTS, _BLOCKS = "prompts", "rounds"
_ROUNDING = 1e-9
_NOT_SPECULATED = (
    "no S: no cycle was speculated, every output ended with the token that its prompt gave; "
    "max_new_tokens=2 or more gives one"
)


def speedup_interval(
    found: float | None,
    sums: Sums,
    pooling: Pooling,
    strata: IntArray | None = None,
    share: float = SHARE,
    part: float = 1.0,
) -> tuple[Interval, str]:
    """S with its interval, and `speedup_interval_basis`: units and method, or why there is none.

    found: S; sums: those it was made of, by unit; strata [U]: the units' domains
    (`strata.domain_strata`); share: what the interval is to cover; part: of all prompts that were
    served, those at hand.
    """
    unit = _PROMPTS if pooling.is_by_prompt else _BLOCKS
    table, strata = _units(_speeds(sums, pooling), strata)
    if pooling.gamma > 0 and not sums.cycles.any():
        return Interval(None, None, None, len(table)), _NOT_SPECULATED
    if found is None:
        return Interval(None, None, None, len(table)), f"no S: {_missing(pooling)}"
    interval = _around(found, table, strata, share)
    counted = f"{len(table)} {unit if len(table) != 1 else unit.removesuffix('s')}"
    more = pooling.more(math.ceil(MIN_UNITS / part - _ROUNDING))
    if interval.low is None:
        return interval, f"no interval: {counted}, {_why_none(table, more)}"
    if len(table) < MIN_UNITS:
        return interval, f"{counted}, Student's t; too few for a verdict ({more})"
    num_strata = len(strata_of(strata, len(table)))
    within = f" in {num_strata} strata (domains)" if num_strata > 1 else ""
    looks = f", widened for several looks ({share:.1%} each)" if share > SHARE else ""
    return interval, f"{counted}{within}, Student's t{looks}"


def latency_interval(
    found: float | None, sums: Sums, strata: IntArray | None = None, share: float = SHARE
) -> Interval:
    """The same for `speedup_e2e`, whose sides are requests over seconds of latency."""
    parts = (sums.requests, sums.e2e_s, sums.baseline_requests, sums.baseline_e2e_s)
    return _around(found, *_units(np.stack(parts, axis=1), strata), share)


def _around(
    found: float | None, table: FloatArray, strata: IntArray | None, share: float = SHARE
) -> Interval:
    """Around the value that was found; without ends if nothing scatters or nothing is known."""
    if found is None or len(table) < 2 or not table.sum(axis=0).all():
        return Interval(found, None, None, len(table))
    return log_ratio_interval(table, share, strata)


def _speeds(sums: Sums, pooling: Pooling) -> FloatArray:
    """[U, 4] tokens and seconds of the speculative arm, then of the baseline: what S is made of."""
    closed = (sums.tokens, sums.time_s, sums.baseline_tokens, sums.baseline_time_s)
    latency = (sums.decode_tokens, sums.decode_s, sums.baseline_decode_tokens)
    parts = closed if pooling.is_closed else (*latency, sums.baseline_decode_s)
    return np.stack(parts, axis=1)


def _units(table: FloatArray, strata: IntArray | None) -> tuple[FloatArray, IntArray | None]:
    """Rows of units in which something happened, and their strata."""
    kept = table.any(axis=1)
    return table[kept], None if strata is None else strata[kept]


def _why_none(table: FloatArray, more: str) -> str:
    if len(table) < 2:
        return f"nothing to compare it with; {more} gives one"
    if np.isnan(log_ratio(table).error):
        return f"one holds all there is; {more} gives one"
    return "which do not differ at all; is the clock too coarse?"


def _missing(pooling: Pooling) -> str:
    if pooling.is_closed and pooling.concurrency > 1:
        return (
            f"one of the arms never had {pooling.concurrency} requests in its batch (no steady "
            f"part); num_requests={2 * pooling.concurrency} or more gives one"
        )
    return "one of the arms has no timed token"
