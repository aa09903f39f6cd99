"""What a user waits, in seconds, from the *scheduled* arrival. Empty case: NaN.

Of requests that were served: hand in `frames.served`, since one without tokens waits for nothing.
"""

import numpy as np
import pandas as pd

from dspark_bench.metrics.sums import FloatArray


def ttft_s(requests: pd.DataFrame) -> FloatArray:
    """[n] first token minus scheduled arrival, seconds."""
    return (requests["first_token_s"] - requests["scheduled_s"]).to_numpy(dtype=np.float64)


def e2e_s(requests: pd.DataFrame) -> FloatArray:
    """[n] last token minus scheduled arrival, seconds."""
    return (requests["finished_s"] - requests["scheduled_s"]).to_numpy(dtype=np.float64)


def tpot_s(requests: pd.DataFrame) -> FloatArray:
    """[<=n] (last - first)/(n_out - 1), seconds per token; a single output token has none."""
    following = requests["output_tokens"].map(len).to_numpy(dtype=np.float64) - 1
    decode_s = (requests["finished_s"] - requests["first_token_s"]).to_numpy(dtype=np.float64)
    several = following > 0
    return np.asarray(decode_s[several] / following[several])


def tok_s_per_user(requests: pd.DataFrame) -> float:
    """Mean over requests of 1/tpot, tokens per second: an axis of the paper's Figure 7.

    A mean of ratios by definition: it describes users, not the machine. Requests with a tpot of 0
    (all tokens in one cycle after the first) are left out. NaN if none is left.
    """
    values = tpot_s(requests)
    values = values[values > 0]
    return float((1 / values).mean()) if values.size else float("nan")


def percentile(values: FloatArray, percent: float) -> float:
    """Percentile with linear interpolation; NaN of nothing."""
    return float(np.percentile(values, percent)) if values.size else float("nan")
