"""What a server's operator watches: the queue, the machine, and what was not served."""

import numpy as np
import pandas as pd

from dspark_bench.core.records import NOT_SENT, UNSERVED, stop_reason
from dspark_bench.metrics.frames import (
    BASELINE,
    SPECULATIVE,
    TURN_KEY,
    batch_cycles,
    measured,
)
from dspark_bench.metrics.sums import FloatArray

CURVE_POINTS = 101
_ARMS = (("", SPECULATIVE), ("baseline_", BASELINE))


def unserved_values(requests: pd.DataFrame) -> dict[str, int | str | None]:
    """Of either arm: requests turned away or given up (`n_unserved`), those that never fell due
    (`n_not_sent`), and the limit behind it (`stop_reason`, None if all were served).
    """
    values: dict[str, int | str | None] = {}
    for prefix, arm in _ARMS:
        reasons = measured(requests, arm)["finish_reason"]
        num_missing, num_not_sent = reasons.isin(UNSERVED).sum(), (reasons == NOT_SENT).sum()
        values[f"{prefix}n_unserved"] = int(num_missing - num_not_sent)
        values[f"{prefix}n_not_sent"] = int(num_not_sent)
        values[f"{prefix}stop_reason"] = stop_reason(set(reasons))
    return values


def machine_values(cycles: pd.DataFrame) -> dict[str, float]:
    """`queue_p50`, `queue_max` of either arm, requests; `cpu_busy`, share of all cores, both arms.

    Over measured cycles, each weighted by its duration; idle time is left out. NaN without cycles,
    `cpu_busy` also where the system does not say.
    """
    batches = batch_cycles(measured(cycles))
    values = {"cpu_busy": _mean(batches)}
    for prefix, arm in _ARMS:
        rows = batches[batches["arm"] == arm]
        waiting = rows["num_waiting"].to_numpy(dtype=np.float64)
        values[f"{prefix}queue_p50"] = _median(waiting, rows["duration_s"].to_numpy())
        values[f"{prefix}queue_max"] = float(waiting.max()) if waiting.size else float("nan")
    return values


def queue_curves(cycles: pd.DataFrame) -> dict[str, list[float]]:
    """Requests waiting over time: `time_s` [101], and one curve [101] per arm.

    Mean over the measured turns of an arm, as each cycle left the queue; 0 after a turn's end.
    Empty without cycles.
    """
    batches = batch_cycles(measured(cycles))
    if batches.empty:
        return {}
    batches["ended_s"] = batches["started_s"] + batches["duration_s"]
    grid = np.linspace(0.0, float(batches["ended_s"].max()), CURVE_POINTS)
    curves = {"time_s": grid.tolist()}
    for arm in (BASELINE, SPECULATIVE):
        turns = batches[batches["arm"] == arm].groupby(TURN_KEY, sort=False)
        depths = [_depth(turn, grid) for _, turn in turns]
        curves[arm] = np.mean(depths, axis=0).tolist() if depths else []
    return curves


def _depth(turn: pd.DataFrame, grid: FloatArray) -> FloatArray:
    """num_waiting of the last cycle that began by each time of the grid."""
    places = np.searchsorted(turn["started_s"].to_numpy(), grid, side="right") - 1
    waiting = turn["num_waiting"].to_numpy(dtype=np.float64)[np.maximum(places, 0)]
    is_inside = (places >= 0) & (grid <= turn["ended_s"].max())
    return np.where(is_inside, waiting, 0.0)


def _mean(batches: pd.DataFrame) -> float:
    known = batches[batches["cpu_busy"].notna()]
    if known.empty:
        return float("nan")
    return float(np.average(known["cpu_busy"], weights=known["duration_s"]))


def _median(values: FloatArray, weights: FloatArray) -> float:
    """The value at which half of the weight is reached."""
    if not values.size:
        return float("nan")
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
