"""Two points on the same prompts: ratios of accepted lengths and of speedups, paired by prompt."""

from collections.abc import Mapping

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
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.leads import PAIR_SIGNS, ArmSums
from dspark_bench.metrics.log_ratio import SHARE, SPEED_SIGNS, ratio_interval
from dspark_bench.metrics.strata import IntArray
from dspark_bench.metrics.sums import FloatArray, Pooling, collect_sums

_COLUMNS = ["cycles", "accepted"]
_SPEEDS = ["tokens", "time_s", "baseline_tokens", "baseline_time_s"]
_REQUEST_KEY = [*TURN_KEY, "request_id"]


def accepted_by_prompt(cycles: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Decode cycles and accepted drafts of the speculative arm, one row per prompt_id."""
    known = _with_prompts(decode_cycles(cycles)[[*_REQUEST_KEY, "num_accepted"]], requests)
    grouped = known.groupby("prompt_id")["num_accepted"].agg(["size", "sum"])
    return grouped.set_axis(_COLUMNS, axis=1).astype(np.float64)


def accepted_length_ratio(
    first: pd.DataFrame, second: pd.DataFrame, share: float = SHARE
) -> Interval:
    """tau of `first` over tau of `second`, by `log_ratio`; n is the number of prompts.

    share: what the interval is to cover. Both are results of `accepted_by_prompt`. Raises
    ResultsError if their prompts differ.
    """
    tables = [
        np.stack([rows[:, 0] + rows[:, 1], rows[:, 0]], axis=1) for rows in _paired(first, second)
    ]  # tau = 1 + sum(a)/R = (R + sum(a))/R
    return ratio_interval(np.concatenate(tables, axis=1), SPEED_SIGNS, share)


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


def speed_by_round(
    cycles: pd.DataFrame, requests: pd.DataFrame, concurrency: int, is_closed: bool = True
) -> pd.DataFrame:
    """The same where requests share a batch: one row per round, over the steady part.

    An open loop's rows hold the tokens after the first and the seconds those took, as its S does.
    Raises KeyError if the records hold no times.
    """
    sums = collect_sums(cycles, requests, Pooling(0, max(concurrency, 2), is_closed))
    closed = (sums.tokens, sums.time_s, sums.baseline_tokens, sums.baseline_time_s)
    decode = (sums.decode_tokens, sums.decode_s, sums.baseline_decode_tokens)
    parts = closed if is_closed else (*decode, sums.baseline_decode_s)
    return pd.DataFrame(np.stack(parts, axis=1), columns=_SPEEDS)


def speedup_ratio(first: pd.DataFrame, second: pd.DataFrame) -> Interval:
    """S of `first` over S of `second`, 95 % by `log_ratio`; n is the number of prompts.

    Both are results of `speed_by_prompt`. Raises ResultsError if their prompts differ. For two
    points that were not chosen by their speed; `find_leads` is for those that were.
    """
    return ratio_interval(np.concatenate(_paired(first, second), axis=1), PAIR_SIGNS)


def arm_sums(speeds: Mapping[str, pd.DataFrame], strata: IntArray | None = None) -> ArmSums:
    """Several points for `find_leads`, by label, each a result of `speed_by_prompt` (or each of
    `speed_by_round`). strata [U]: of the units in the order of their names. Raises ResultsError if
    their units differ, or if one has no time.
    """
    frames = list(speeds.values())
    for frame in frames[1:]:
        _check_same_units(frames[0], frame)
    table = np.stack([frame.sort_index()[_SPEEDS].to_numpy(np.float64) for frame in frames])
    try:
        return ArmSums(tuple(speeds), table, strata)
    except ValueError as error:
        raise ResultsError(f"leads: {error}") from error


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Both frames [prompts, columns] in one order."""
    _check_same_units(first, second)
    return first.sort_index().to_numpy(), second.sort_index().to_numpy()


def _check_same_units(first: pd.DataFrame, second: pd.DataFrame) -> None:
    if set(first.index) != set(second.index):
        raise ResultsError("the two points ran different prompts; only equal ones can be paired")


def _with_prompts(cycles: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """The cycles with the prompt_id of their requests. Raises ResultsError if one has none."""
    names = measured(requests)[[*_REQUEST_KEY, "prompt_id"]].drop_duplicates()
    known = cycles.merge(names, on=_REQUEST_KEY, how="left", validate="many_to_one")
    if known["prompt_id"].isna().any():
        raise ResultsError("a cycle belongs to no request")
    return known
