"""Requests whose answer runs in a circle: a small model's greedy text often does, and then any
drafter that repeats what stands before looks good.

The baseline's output decides, so that all arms of a block agree on which prompts are meant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from dspark_bench.metrics.domains import domain_figures
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE, measured, served
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.metrics.sums import Pooling

MIN_STRETCH: Final = 32
"""Tokens that a repeating stretch has at least."""
MAX_PERIOD: Final = 32
MIN_TIMES: Final = 3
COLUMN: Final = "is_degenerate"
_LOOPING, _SOUND = "looping", "sound"


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """share: of the measured requests that are flagged; speedup: S over the others."""

    share: float
    speedup: Interval

    def as_row(self) -> dict[str, float | None]:
        """Columns of summary.csv."""
        return {
            "degenerate_requests": self.share,
            "speedup_not_degenerate": self.speedup.value,
            "speedup_not_degenerate_ci_low": self.speedup.low,
            "speedup_not_degenerate_ci_high": self.speedup.high,
        }


def has_loop(output: Sequence[int], prompt: Sequence[int] = ()) -> bool:
    """Whether some stretch of at least 32 tokens repeats with a period of 1 to 32 at least three
    times. A stretch that stands in the prompt as it is was copied once, and does not count.
    """
    tokens = np.asarray(output, dtype=np.int64)
    asked = np.asarray(prompt, dtype=np.int64)
    for period in range(1, MAX_PERIOD + 1):
        least = max(MIN_STRETCH, MIN_TIMES * period)
        if tokens.size < least:
            continue
        is_equal = tokens[period:] == tokens[:-period]
        if np.count_nonzero(is_equal) < least - period:
            continue  # most of the time, and a third of the work
        for start, stop in _runs(is_equal):
            stretch = tokens[start : stop + period]
            if stretch.size >= least and not _holds(asked, stretch):
                return True
    return False


def _runs(is_equal: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of every run of True."""
    edges = np.flatnonzero(np.diff(is_equal.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _holds(tokens: np.ndarray, part: np.ndarray) -> bool:
    if part.size > tokens.size:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(tokens, part.size)
    return bool((windows == part).all(axis=1).any())


def flag_loops(requests: pd.DataFrame, prompts: Mapping[str, Sequence[int]]) -> "pd.Series[bool]":
    """For each request whether its prompt's answer loops in half or more of the baseline's measured
    outputs of it; False where the baseline has none. prompts: tokens by `prompt_hash`.
    """
    known = served(measured(requests, BASELINE))
    loops: dict[str, list[bool]] = {}
    judged: dict[tuple[str, tuple[int, ...]], bool] = {}
    for key, output in zip(known["prompt_hash"], known["output_tokens"], strict=True):
        text = (key, tuple(output))
        if text not in judged:  # greedy outputs are the same in every repeat
            judged[text] = has_loop(text[1], prompts.get(key, ()))
        loops.setdefault(key, []).append(judged[text])
    meant = {key for key, found in loops.items() if 2 * sum(found) >= len(found)}
    flags = [key in meant for key in requests["prompt_hash"]]
    return pd.Series(flags, index=requests.index, dtype=bool)


def loop_figures(
    cycles: pd.DataFrame,
    requests: pd.DataFrame,
    pooling: Pooling,
    speedup: Interval,
    share: float = SHARE,
) -> LoopFigures | None:
    """None for records that do not say which requests loop. speedup: over all requests, which it
    is without those that loop where there are none. Where requests share a batch, and its time,
    there is no S of some of them.
    """
    if COLUMN not in requests:
        return None
    rows = served(measured(requests, SPECULATIVE))
    if rows.empty:
        return None
    part = float(rows[COLUMN].astype(bool).mean())
    if part == 0:
        return LoopFigures(part, speedup)
    labels = np.where(requests[COLUMN].astype(bool), _LOOPING, _SOUND)
    found = domain_figures(cycles, requests.assign(domain=labels), pooling, share)
    none = Interval(None, None, None, 0)
    return LoopFigures(part, found[_SOUND].speedup if _SOUND in found else none)
