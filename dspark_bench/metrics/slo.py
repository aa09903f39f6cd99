"""Service-level objective: how many requests were answered fast enough. Empty case: NaN.

A request that was turned away or given up has not met it. One that never fell due does not count.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dspark_bench.core.records import NOT_SENT, UNSERVED

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Slo:
    """Largest `ttft_s` and `tpot_s` of a good answer, seconds; None: no bound."""

    ttft_s: float | None = None
    tpot_s: float | None = None

    @property
    def is_set(self) -> bool:
        """Whether anything is asked for."""
        return self.ttft_s is not None or self.tpot_s is not None


def has_arrived(requests: pd.DataFrame) -> BoolArray:
    """[n] whether the request fell due at all."""
    return np.asarray(requests["finish_reason"] != NOT_SENT)


def meets(requests: pd.DataFrame, slo: Slo) -> BoolArray:
    """[n] whether a request was served within both bounds; a single token has no tpot to bound."""
    good = np.asarray(~requests["finish_reason"].isin(UNSERVED))
    if slo.ttft_s is not None:
        good = good & np.asarray(requests["first_token_s"] - requests["scheduled_s"] <= slo.ttft_s)
    if slo.tpot_s is not None:
        following = requests["output_tokens"].map(len).to_numpy(dtype=np.float64) - 1
        decode_s = requests["finished_s"] - requests["first_token_s"]
        good = good & np.asarray(decode_s <= slo.tpot_s * following)
    return good
