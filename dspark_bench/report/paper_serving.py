"""The paper's serving figures beside ours: hardware_aware against drafts of one token."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from dspark_bench.reading.points import Point
from dspark_bench.report.paper_points import PaperPoints

_SHORT, _LONG = 1, 7


def serving_rows(
    points: PaperPoints, said: dict[str, Any]
) -> Iterable[tuple[str, str, str, str, str]]:
    """Rows of Figures 7 and 8, where the points for them were measured."""
    ours = points.under_load("hardware_aware", _LONG)
    ratio = throughput_ratio(_frontier(ours), _frontier(points.under_load("fixed", _SHORT)))
    if ratio is not None:
        text = f"{ratio[0]:.2f} (interpolated, at {ratio[1]:.0f} tok/s per user)"
        what = "throughput at equal speed per user, hardware_aware / fixed gamma 1"
        yield "Figure 7", what, "mixed", text, str(said["throughput_at_equal_speed"])
    budgets = [(p.number("concurrency"), p.number("verify_budget")) for p in ours]
    known = [(size, budget) for size, budget in budgets if size and budget]
    if len(known) > 1:
        steps = ", ".join(f"{budget:.2f} at {size:.0f}" for size, budget in known)
        what = "verify budget by concurrency, hardware_aware"
        yield "Figure 8", what, "mixed", steps, str(said["verify_budget"])


def throughput_ratio(
    first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]
) -> tuple[float, float] | None:
    """Throughput of `first` over that of `second` in the middle of the speeds that both reach.

    Each is (tok/s per user, tok/s) by rising speed; logarithms are interpolated linearly. None if
    the speeds do not overlap. Returns the ratio and the speed.
    """
    if len(first) < 2 or len(second) < 2:
        return None
    low = max(first[0][0], second[0][0])
    high = min(first[-1][0], second[-1][0])
    if low >= high:
        return None
    middle = math.sqrt(low * high)
    return _at(first, middle) / _at(second, middle), middle


def _at(curve: Sequence[tuple[float, float]], speed: float) -> float:
    for (x0, y0), (x1, y1) in itertools.pairwise(curve):
        if x0 <= speed <= x1:
            share = math.log(speed / x0) / math.log(x1 / x0)
            return math.exp(math.log(y0) + share * math.log(y1 / y0))
    raise ValueError(f"{speed} lies outside of the curve")


def _frontier(points: Sequence[Point]) -> list[tuple[float, float]]:
    """(tok/s per user, tok/s) by strictly rising speed; the faster of equals."""
    pairs = [(p.number("tok_s_per_user"), p.number("throughput_tok_s")) for p in points]
    known: dict[float, float] = {}
    for speed, throughput in pairs:
        if speed and throughput:
            known[speed] = max(throughput, known.get(speed, 0.0))
    return sorted(known.items())
