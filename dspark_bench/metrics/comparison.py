"""Two points on the same prompts: ratios of accepted lengths and of speedups, paired by prompt."""

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


def accepted_by_prompt(cycles: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Decode cycles and accepted drafts of the speculative arm, one row per prompt_id."""
    key = [*TURN_KEY, "request_id"]
    rows = decode_cycles(cycles)
    names = measured(requests)[[*key, "prompt_id"]].drop_duplicates()
    known = rows[[*key, "num_accepted"]].merge(names, on=key, how="left", validate="many_to_one")
    if known["prompt_id"].isna().any():
        raise ResultsError("a cycle belongs to no request")
    grouped = known.groupby("prompt_id")["num_accepted"].agg(["size", "sum"])
    return grouped.set_axis(_COLUMNS, axis=1).astype(np.float64)


def accepted_length_ratio(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0) -> Interval:
    """tau of `first` over tau of `second`, 95 % bootstrap over prompts; n is their number.

    Both are results of `accepted_by_prompt`. Raises ResultsError if their prompts differ.
    """
    ours, theirs, draws = _paired(first, second, seed)
    value = float(_tau(ours.sum(0)) / _tau(theirs.sum(0)))
    resampled = _tau(draws @ ours) / _tau(draws @ theirs)
    low, high = np.percentile(resampled, PERCENTILES)
    return Interval(value, float(low), float(high), len(ours))


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
    key = [*TURN_KEY, "request_id"]
    names = measured(requests)[[*key, "prompt_id"]].drop_duplicates()
    timed = rows[[*key, "num_emitted"]].assign(duration_s=rows[STAGE_TIMES].sum(axis=1))
    known = timed.merge(names, on=key, how="left", validate="many_to_one")
    if known["prompt_id"].isna().any():
        raise ResultsError("a cycle belongs to no request")
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
    ours, theirs, draws = _paired(first, second, seed)
    value = float(_speedup(ours.sum(0)) / _speedup(theirs.sum(0)))
    resampled = _speedup(draws @ ours) / _speedup(draws @ theirs)
    low, high = np.percentile(resampled, PERCENTILES)
    return Interval(value, float(low), float(high), len(ours))


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
