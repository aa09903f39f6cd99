"""What a user waits, in seconds, from the *scheduled* arrival. Empty case: NaN.

Of requests that were served: hand in `frames.served`, since one without tokens waits for nothing.
"""

import numpy as np
import pandas as pd

from dspark_bench.metrics.units import FloatArray


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


def user_rates(requests: pd.DataFrame) -> FloatArray:
    """[n] 1/tpot, tokens per second as one user sees them; 0 where there is no tpot.

    That is a request of one token, or one whose later tokens all came in the first's cycle.
    """
    following = requests["output_tokens"].map(len).to_numpy(dtype=np.float64) - 1
    decode_s = (requests["finished_s"] - requests["first_token_s"]).to_numpy(dtype=np.float64)
    rates = np.zeros(len(requests))
    has_rate = (following > 0) & (decode_s > 0)
    rates[has_rate] = following[has_rate] / decode_s[has_rate]
    return rates


def percentile(values: FloatArray, percent: float) -> float:
    """Percentile with linear interpolation; NaN of nothing."""
    return float(np.percentile(values, percent)) if values.size else float("nan")
