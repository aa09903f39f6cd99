"""The two record frames of a point, and the selections that every metric starts from.

`cycles`: one row per (arm, repeat, block, cycle, request): the fields of `CycleRecord` beside
`arm`, `repeat`, `block` (the set of turns over the same requests) and `is_warmup`.
`requests`: the fields of `RequestRecord` beside the same four.
"""

from typing import Final

import numpy as np
import pandas as pd

from dspark_bench.core.records import UNSERVED

BASELINE: Final = "baseline"
SPECULATIVE: Final = "speculative"
TURN_KEY: Final = ["arm", "repeat", "block"]
STAGE_TIMES: Final = ["t_draft_s", "t_schedule_s", "t_verify_s", "t_accept_s", "t_engine_s"]


def measured(frame: pd.DataFrame, arm: str | None = None) -> pd.DataFrame:
    """Rows that count: not warm-up, and of one arm if `arm` is given."""
    keep = ~frame["is_warmup"].astype(bool)
    if arm is not None:
        keep &= frame["arm"] == arm
    return frame[keep]


def served(requests: pd.DataFrame) -> pd.DataFrame:
    """Requests that were answered; the others have neither latency nor output."""
    return requests[~requests["finish_reason"].isin(UNSERVED)]


def served_by_both(requests: pd.DataFrame) -> pd.DataFrame:
    """Requests that both arms of their block answered, so that the arms compare the same ones."""
    answered = served(requests)
    missing = requests[requests["finish_reason"].isin(UNSERVED)]
    if missing.empty:
        return answered
    key = ["repeat", "block", "request_id"]
    lost = pd.MultiIndex.from_frame(missing[key])
    return answered[~pd.MultiIndex.from_frame(answered[key]).isin(lost)]


def decode_cycles(cycles: pd.DataFrame, arm: str = SPECULATIVE) -> pd.DataFrame:
    """The R rows that acceptance is counted over: measured, and not the request's prefill."""
    rows = measured(cycles, arm)
    return rows[~rows["is_prefill"].astype(bool)]


def cycle_depths(cycles: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """How far each cycle's verification reached: a tree's depth, a chain's length."""
    lengths = cycles["verify_len"].to_numpy(dtype=np.int64)
    if "tree_depth" not in cycles.columns:  # records from before there were trees
        return lengths
    depths = cycles["tree_depth"].to_numpy(dtype=np.int64)
    return np.where(depths > 0, depths, lengths)


def batch_cycles(cycles: pd.DataFrame) -> pd.DataFrame:
    """One row per (arm, repeat, block, cycle): a cycle's times are its batch's, so count them once.

    Keeps the stage times, `started_s`, `has_prefill`, `batch_size`, `num_waiting`, `cpu_busy` and
    `unit` (where present), and adds `num_emitted` (sum over the batch), `max_drafted` (longest
    draft) and `duration_s`.
    """
    grouped = cycles.groupby([*TURN_KEY, "cycle"], sort=False)
    shared = [*STAGE_TIMES, "started_s", "has_prefill", "batch_size", "num_waiting", "cpu_busy"]
    shared += ["unit"] if "unit" in cycles.columns else []
    batches = grouped[shared].first()
    batches["num_emitted"] = grouped["num_emitted"].sum()
    batches["max_drafted"] = grouped["num_drafted"].max()
    batches["duration_s"] = batches[STAGE_TIMES].sum(axis=1)
    return batches.reset_index()
