"""One run over time, small enough to be kept: queue, batch and verify budget of either arm."""

import numpy as np
import pandas as pd

from dspark_bench.metrics.frames import (
    BASELINE,
    SPECULATIVE,
    batch_cycles,
    decode_cycles,
    measured,
)

MOST_ROWS = 120


def turn_timeline(cycles: pd.DataFrame) -> pd.DataFrame:
    """`timeline.csv`: the first measured turn of each arm, in at most 120 stretches of time.

    Columns: arm; time_s, duration_s: a stretch of whole cycles, from the turn's start; num_cycles;
    num_waiting, batch_size: means weighted by the cycles' durations; verify_budget: mean 1 + l per
    request and decode cycle, NaN where there was none; tok_s: tokens emitted over duration_s. Empty
    if no two requests ever met.
    """
    rows = measured(cycles)
    if rows.empty or (rows["batch_size"].max() <= 1 and rows["num_waiting"].max() < 1):
        return pd.DataFrame()
    first = rows[rows["repeat"] == rows["repeat"].min()]
    first = first[first["block"] == first["block"].min()]
    arms = [_stretches(first[first["arm"] == arm], arm) for arm in (BASELINE, SPECULATIVE)]
    return pd.concat([arm for arm in arms if len(arm)], ignore_index=True)


def _stretches(rows: pd.DataFrame, arm: str) -> pd.DataFrame:
    if rows.empty:
        return pd.DataFrame()
    batches = batch_cycles(rows).sort_values("started_s", ignore_index=True)
    decoded = decode_cycles(rows, arm).groupby("cycle")["verify_len"].agg(["sum", "count"])
    batches = batches.join(decoded, on="cycle").fillna({"sum": 0, "count": 0})
    origin_s = float(batches["started_s"].iloc[0])
    size = -(-len(batches) // MOST_ROWS)
    found = []
    for _, part in batches.groupby(np.arange(len(batches)) // size):
        weights, num_decoded = part["duration_s"], part["count"].sum()
        start_s = float(part["started_s"].iloc[0])
        end_s = float(part["started_s"].iloc[-1] + weights.iloc[-1])
        budget = 1 + part["sum"].sum() / num_decoded if num_decoded else float("nan")
        found.append(
            {
                "arm": arm,
                "time_s": start_s - origin_s,
                "duration_s": end_s - start_s,
                "num_cycles": len(part),
                "num_waiting": float(np.average(part["num_waiting"], weights=weights)),
                "batch_size": float(np.average(part["batch_size"], weights=weights)),
                "verify_budget": budget,
                "tok_s": part["num_emitted"].sum() / (end_s - start_s),
            }
        )
    return pd.DataFrame(found)
