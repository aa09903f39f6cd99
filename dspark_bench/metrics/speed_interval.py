"""The 95 % interval of S and what it rests on: never a number without saying how sure it is.

Bootstrap over units; with fewer than `FEW_UNITS` Student's interval of log S, since resampling
three blocks covers the truth in about three of four cases and not in 95 of 100.
"""

import numpy as np

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.noise_floor import log_ratio_interval
from dspark_bench.metrics.sums import FloatArray, Pooling, Sums

FEW_UNITS = 8
_PROMPTS, _BLOCKS = "prompts", "A-B blocks"


def speedup_interval(found: Interval, sums: Sums, pooling: Pooling) -> tuple[Interval, str]:
    """S with its interval, and `speedup_interval_basis`: units and method, or why there is none.

    found: S with the bootstrap's interval; sums: those it was made of, by unit.
    """
    unit = _PROMPTS if pooling.is_by_prompt else _BLOCKS
    if found.value is None:
        return found, f"no S: {_missing(pooling)}"
    table = _speeds(sums, pooling)
    if found.low is not None and len(table) >= FEW_UNITS:
        return found, f"{len(table)} {unit}, bootstrap"
    few = _student(found, table)
    if few.low is None:
        return few, f"no interval: {len(table)} {unit}; {_key(pooling)}={FEW_UNITS} gives one"
    return few, f"{len(table)} {unit}, Student's t; {_key(pooling)}={FEW_UNITS} narrows it"


def latency_interval(found: Interval, sums: Sums) -> Interval:
    """The same for `speedup_e2e`, whose sides are requests over seconds of latency."""
    parts = (sums.requests, sums.e2e_s, sums.baseline_requests, sums.baseline_e2e_s)
    table = _units(np.stack(parts, axis=1))
    return found if len(table) >= FEW_UNITS else _student(found, table)


def _student(found: Interval, table: FloatArray) -> Interval:
    """Around the value that was found; without ends if nothing scatters or nothing is known."""
    if found.value is None or len(table) < 2 or not table.sum(axis=0).all():
        return Interval(found.value, None, None, found.n)
    student = log_ratio_interval(table)
    assert student.low is not None and student.high is not None
    low, high = min(student.low, found.value), max(student.high, found.value)
    return Interval(found.value, low, high, found.n)


def _speeds(sums: Sums, pooling: Pooling) -> FloatArray:
    """[U, 4] tokens and seconds of the speculative arm, then of the baseline: what S is made of."""
    closed = (sums.tokens, sums.time_s, sums.baseline_tokens, sums.baseline_time_s)
    latency = (sums.decode_tokens, sums.decode_s, sums.baseline_decode_tokens)
    parts = closed if pooling.is_closed else (*latency, sums.baseline_decode_s)
    return _units(np.stack(parts, axis=1))


def _units(table: FloatArray) -> FloatArray:
    """Rows of units in which something happened."""
    return np.asarray(table[table.any(axis=1)])


def _key(pooling: Pooling) -> str:
    """What the number of units is set by."""
    return "num_requests" if pooling.is_by_prompt else "measure.repeats"


def _missing(pooling: Pooling) -> str:
    if pooling.is_closed and pooling.concurrency > 1:
        return (
            f"one of the arms never had {pooling.concurrency} requests in its batch (no steady "
            f"part); num_requests={2 * pooling.concurrency} or more gives one"
        )
    return "one of the arms has no timed token"
