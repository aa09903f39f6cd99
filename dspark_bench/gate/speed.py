"""S of a point as sums per resampling unit, so that two of them can be divided with an interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.frames import STAGE_TIMES, TURN_KEY
from dspark_bench.metrics.sums import FloatArray, Pooling, collect_sums, ratio

_CHAIN: Final = "none"
COLUMNS: Final = ("tokens", "time_s", "baseline_tokens", "baseline_time_s")
_OPEN: Final = ("decode_tokens", "decode_s", "baseline_decode_tokens", "baseline_decode_s")


@dataclass(frozen=True, slots=True)
class SpeedUnits:
    """table [U, 4]: tokens and seconds, speculative and baseline arm; labels [U]: the units.

    Units are prompts for one user at a time, else rounds, which no two runs share.
    """

    labels: tuple[str, ...]
    is_by_prompt: bool
    table: FloatArray

    def ratio(self, weights: FloatArray) -> FloatArray:
        """S [N] of resamples with weights [N, U]."""
        sums = weights @ self.table
        return ratio(ratio(sums[:, 0], sums[:, 1]), ratio(sums[:, 2], sums[:, 3]))

    def pick(self, labels: tuple[str, ...]) -> "SpeedUnits":
        """Chosen units. Raises ResultsError if one is missing."""
        place = {label: index for index, label in enumerate(self.labels)}
        missing = [label for label in labels if label not in place]
        if missing:
            raise ResultsError(f"no times for {missing[0]}")
        return SpeedUnits(labels, self.is_by_prompt, self.table[[place[name] for name in labels]])


def collect_speed(
    cycles: pd.DataFrame,
    requests: pd.DataFrame,
    keys: Mapping[str, Any],
    facts: Mapping[str, Any],
    concurrency: int,
) -> SpeedUnits | None:
    """Sums of a point; None where the records have been thinned of their times or timing failed."""
    if not set(STAGE_TIMES) <= set(cycles.columns) or facts.get("timing_invalid"):
        return None
    is_closed = keys.get("load") == "closed"
    is_tree = keys.get("tree", _CHAIN) != _CHAIN
    pooling = Pooling(int(keys["gamma"]), concurrency, is_closed, is_tree=is_tree)
    sums = collect_sums(cycles, requests, pooling)
    columns = COLUMNS if is_closed else _OPEN
    table = np.stack([getattr(sums, name) for name in columns], axis=1)
    if not pooling.is_by_prompt:
        return SpeedUnits(tuple(f"block {i}" for i in range(len(table))), False, table)
    return SpeedUnits(_prompts_in_order(cycles, requests), True, table)


def _prompts_in_order(cycles: pd.DataFrame, requests: pd.DataFrame) -> tuple[str, ...]:
    """Prompts as `collect_sums` numbers them: by first appearance among the measured cycles."""
    key = [*TURN_KEY, "request_id"]
    rows = cycles[~cycles["is_warmup"].astype(bool)]
    known = requests[~requests["is_warmup"].astype(bool)]
    names = rows[key].merge(known[[*key, "prompt_id"]].drop_duplicates(), on=key, how="left")
    both = pd.concat([names["prompt_id"], known["prompt_id"]], ignore_index=True)
    return tuple(str(name) for name in pd.unique(both))
