"""Throughput against per-user speed: is one curve above a point of another? (DSpark, Figure 7)"""

from collections.abc import Sequence

import numpy as np


def throughput_at(
    speeds: Sequence[float], throughputs: Sequence[float], speed: float
) -> float | None:
    """Throughput of a curve at a per-user speed, linear between its measured points.

    speeds, throughputs [n]: tok/s per user and tok/s in all, one pair per load level, in any order.
    Beyond the fastest measured point: None, the curve says nothing there. Below the slowest: the
    throughput there, which whoever serves that fast also offers to slower users.
    """
    order = np.argsort(speeds)
    xs, ys = np.asarray(speeds)[order], np.asarray(throughputs)[order]
    if speed > xs[-1]:
        return None
    return float(np.interp(speed, xs, ys))
