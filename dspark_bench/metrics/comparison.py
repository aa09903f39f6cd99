"""Two points on the same prompts: ratios of accepted lengths and of speedups, paired by prompt."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.frames import (
    BASELINE,
    SPECULATIVE,
    STAGE_TIMES,
    TURN_KEY,
    decode_cycles,
    measured,
)
from dspark_bench.metrics.intervals import NUM_RESAMPLES, PERCENTILES, Interval
from dspark_bench.metrics.sums import FloatArray

_COLUMNS = ["cycles", "accepted"]
_REQUEST_KEY = [*TURN_KEY, "request_id"]


def accepted_by_prompt(cycles: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Decode cycles and accepted drafts of the speculative arm, one row per prompt_id."""
    known = _with_prompts(decode_cycles(cycles)[[*_REQUEST_KEY, "num_accepted"]], requests)
    grouped = known.groupby("prompt_id")["num_accepted"].agg(["size", "sum"])
    return grouped.set_axis(_COLUMNS, axis=1).astype(np.float64)


def accepted_length_ratio(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0) -> Interval:
    """tau of `first` over tau of `second`, 95 % bootstrap over prompts; n is their number.

    Both are results of `accepted_by_prompt`. Raises ResultsError if their prompts differ.
    """
    return _pooled_ratio(_tau, first, second, seed)


def _tau(sums: FloatArray) -> FloatArray:
    """1 + sum(a)/R from [..., (R, sum(a))]."""
    return np.asarray(1 + sums[..., 1] / sums[..., 0])


def speed_by_prompt(cycles: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Tokens and seconds of both arms, one row per prompt_id: a closed loop of one request.

    Columns tokens, time_s, baseline_tokens, baseline_time_s. Raises ResultsError if a cycle belongs
    to no request or to several; KeyError if the records hold no times.
    """
    rows = measured(cycles)
    if (rows["batch_size"] > 1).any():
        raise ResultsError("requests shared a batch; its time belongs to no single prompt")
    timed = rows[[*_REQUEST_KEY, "num_emitted"]].assign(duration_s=rows[STAGE_TIMES].sum(axis=1))
    known = _with_prompts(timed, requests)
    parts = []
    for arm, prefix in ((SPECULATIVE, ""), (BASELINE, "baseline_")):
        grouped = known[known["arm"] == arm].groupby("prompt_id")
        parts.append(grouped["num_emitted"].sum().rename(f"{prefix}tokens"))
        parts.append(grouped["duration_s"].sum().rename(f"{prefix}time_s"))
    return pd.concat(parts, axis=1).astype(np.float64)


def speedup_ratio(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0) -> Interval:
    """S of `first` over S of `second`, 95 % bootstrap over prompts; n is their number.

    Both are results of `speed_by_prompt`. Raises ResultsError if their prompts differ.
    """
    return _pooled_ratio(_speedup, first, second, seed)


def _speedup(sums: FloatArray) -> FloatArray:
    """S from [..., (tokens, time_s, baseline_tokens, baseline_time_s)]."""
    tokens, time_s, baseline_tokens, baseline_time_s = np.moveaxis(sums, -1, 0)
    return np.asarray(tokens / time_s / (baseline_tokens / baseline_time_s))


def _paired(
    first: pd.DataFrame, second: pd.DataFrame, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Both frames [prompts, columns] in one order, and how often each resample drew each prompt."""
    if set(first.index) != set(second.index):
        raise ResultsError("the two points ran different prompts; only equal ones can be paired")
    ours, theirs = first.sort_index().to_numpy(), second.sort_index().to_numpy()
    shares = np.full(len(ours), 1 / len(ours))
    draws = np.random.default_rng(seed).multinomial(len(ours), shares, NUM_RESAMPLES)
    return ours, theirs, draws.astype(np.float64)


def _with_prompts(cycles: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """The cycles with the prompt_id of their requests. Raises ResultsError if one has none."""
    names = measured(requests)[[*_REQUEST_KEY, "prompt_id"]].drop_duplicates()
    known = cycles.merge(names, on=_REQUEST_KEY, how="left", validate="many_to_one")
    if known["prompt_id"].isna().any():
        raise ResultsError("a cycle belongs to no request")
    return known


def _pooled_ratio(
    of: Callable[[FloatArray], FloatArray], first: pd.DataFrame, second: pd.DataFrame, seed: int
) -> Interval:
    """`of` the sums over prompts of `first`, over the same of `second`; prompts are drawn in pairs.

    of: from sums [..., columns] to [...].
    """
    ours, theirs, draws = _paired(first, second, seed)
    value = float(of(ours.sum(0)) / of(theirs.sum(0)))
    low, high = np.percentile(of(draws @ ours) / of(draws @ theirs), PERCENTILES)
    return Interval(value, float(low), float(high), len(ours))
