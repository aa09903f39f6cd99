"""How many tokens the drafter's own estimates promise of the trees that were verified."""

import numpy as np
import pandas as pd

from dspark_bench.metrics.theory import expected_tree_length


def foreseen_length(decoded: pd.DataFrame) -> float:
    """1 + mean accepted depth as estimated before verifying; NaN where no survival was recorded.

    decoded: decode cycles of one arm. A cycle counts with the survivals of its verified nodes, one
    without a tree with its one token. Beside `accepted_length` it says how far the estimates hold.
    """
    if "survival" not in decoded.columns or not decoded["survival"].map(len).any():
        return float("nan")
    pairs = zip(decoded["survival"], decoded["verify_len"], strict=True)
    return float(np.mean([expected_tree_length(own[:count]) for own, count in pairs]))
