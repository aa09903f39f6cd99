"""What the output looks like: repetition that makes acceptance look better than it is."""

import numpy as np
import pandas as pd

MIN_RUN_TOKENS = 8


def degenerate_share(requests: pd.DataFrame) -> float:
    """Share of output tokens that lie in runs of at least 8 equal tokens; NaN without tokens."""
    num_tokens = num_degenerate = 0
    for output in requests["output_tokens"]:
        tokens = np.asarray(output, dtype=np.int64)
        starts = np.flatnonzero(np.diff(tokens, prepend=tokens[:1] - 1))
        lengths = np.diff(starts, append=tokens.size)
        num_tokens += tokens.size
        num_degenerate += int(lengths[lengths >= MIN_RUN_TOKENS].sum())
    return num_degenerate / num_tokens if num_tokens else float("nan")
