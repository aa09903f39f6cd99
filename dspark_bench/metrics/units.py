"""What an interval counts as one observation, and the label of every record that belongs to it.

A unit is a prompt with both arms and all repeats in a closed loop of concurrency 1; otherwise it is
a round (repeat, block), since requests that share a batch share its times.
"""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.frames import TURN_KEY

FloatArray = NDArray[np.float64]
ROUND_PROMPTS: Final = 12
"""Prompts of a round with one user: each is a unit."""
STRETCH_TOKENS: Final = 16
"""Tokens that an arm emits with one user before the next one takes over: a tenth of a second."""


def label_units(
    cycles: pd.DataFrame, requests: pd.DataFrame, is_by_prompt: bool
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Both frames with a column `unit` [0, U), and U. Raises ResultsError for a lost request."""
    if is_by_prompt:
        key = [*TURN_KEY, "request_id"]
        known = requests[[*key, "prompt_id"]].drop_duplicates()
        labels = cycles[key].merge(known, on=key, how="left", validate="many_to_one")["prompt_id"]
        if labels.isna().any():
            lost = cycles["request_id"].to_numpy()[labels.isna().to_numpy()][0]
            raise ResultsError(f"request {lost} has cycles but no request record")
        own = requests["prompt_id"]
    else:
        labels, own = _block_labels(cycles), _block_labels(requests)
    units = pd.Index(pd.unique(pd.concat([labels, own], ignore_index=True)))
    return (
        cycles.assign(unit=units.get_indexer(pd.Index(labels))),
        requests.assign(unit=units.get_indexer(pd.Index(own))),
        len(units),
    )


def _block_labels(frame: pd.DataFrame) -> "pd.Series[str]":
    return frame["repeat"].astype(str) + "/" + frame["block"].astype(str)
