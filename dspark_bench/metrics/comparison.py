"""Two drafters on the same prompts: the ratio of their accepted lengths, paired by prompt."""

import numpy as np
import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.frames import TURN_KEY, decode_cycles, measured
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
    if set(first.index) != set(second.index):
        raise ResultsError("the two points ran different prompts; only equal ones can be paired")
    ours = first.sort_index().to_numpy()
    theirs = second.sort_index().to_numpy()
    num_prompts = len(ours)
    shares = np.full(num_prompts, 1 / num_prompts)
    draws = np.random.default_rng(seed).multinomial(num_prompts, shares, NUM_RESAMPLES)
    value = float(_tau(ours.sum(0)) / _tau(theirs.sum(0)))
    resampled = _tau(draws @ ours) / _tau(draws @ theirs)
    low, high = np.percentile(resampled, PERCENTILES)
    return Interval(value, float(low), float(high), num_prompts)


def _tau(sums: FloatArray) -> FloatArray:
    """1 + sum(a)/R from [..., (R, sum(a))]."""
    return np.asarray(1 + sums[..., 1] / sums[..., 0])
