"""When a measurement knows enough: the rule that ends a block of arms, and what it costs.

Looking at an interval again and again until it is narrow makes it too narrow: it stops where the
scatter happens to look small. So the looks are few and fixed before anything is measured, none
comes early, and the interval of every look is widened so that all of them together hold
(`looks.level_at`). `make bench-precision` measures how often the one that is shown then covers.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.metrics.looks import level_at
from dspark_bench.metrics.strata import widening
from dspark_bench.metrics.student import two_sided

FIRST_LOOK_PROMPTS: Final = 48
FINE_PRECISION: Final = 0.05
FINE_FIRST_LOOK_PROMPTS: Final = 72
"""Up to this precision the first look comes later: few end before it, and each look widens all."""
FIRST_LOOK_ROUNDS: Final = 6
MOST_LOOKS: Final = 4


@dataclass(frozen=True, slots=True)
class Looks:
    """rounds: numbers of whole rounds after which it is looked, the last round always among them;
    share: what the interval of each look covers, so that all of them together cover 95 %.
    """

    rounds: tuple[int, ...]
    share: float


def plan_looks(round_units: Sequence[int], is_by_prompt: bool, precision: float) -> Looks:
    """The looks of a measurement whose rounds add so many units (prompts, or 1 each).

    After an even number of rounds, from 48 prompts (72 for a precision of 0.05 or less) or 6 rounds
    on, and at the end. At most four, at numbers of units that grow by about the same factor. Raises
    ValueError without a round.
    """
    if not round_units:
        raise ValueError("round_units is empty; valid: one round or more")
    first = FIRST_LOOK_ROUNDS
    if is_by_prompt:
        is_fine = precision <= FINE_PRECISION
        first = FINE_FIRST_LOOK_PROMPTS if is_fine else FIRST_LOOK_PROMPTS
    total = list(accumulate(round_units))
    found = [
        number
        for number, units in enumerate(total, 1)
        if number == len(total) or (units >= first and number % 2 == 0)
    ]
    if len(found) > MOST_LOOKS:
        growth = (found[-1] / found[0]) ** (1 / (MOST_LOOKS - 1))
        wanted = [found[0] * growth**place for place in range(MOST_LOOKS)]
        found = sorted({min(found, key=lambda at: abs(at - goal)) for goal in wanted})
    return Looks(tuple(found), level_at(tuple(total[number - 1] for number in found)))


def half_width(interval: Interval) -> float | None:
    """How far the farther end lies from the value, as a share of it; None without an interval."""
    if not interval.value or interval.low is None or interval.high is None or not interval.low:
        return None
    return max(interval.high / interval.value, interval.value / interval.low) - 1


def is_reached(intervals: Iterable[Interval], precision: float) -> bool:
    """Whether every interval is as narrow as asked for."""
    widths = [half_width(interval) for interval in intervals]
    return all(width is not None and width <= precision for width in widths)


def units_needed(
    intervals: Iterable[Interval], precision: float, share: float = SHARE
) -> int | None:
    """Units that the widest interval would take to become as narrow as asked for, if they scatter
    on as they did; None where an interval is missing.

    share: what the intervals cover. Student's quantile falls with more units as well, which counts
    where units are few.
    """
    needed = 0
    for interval in intervals:
        width = half_width(interval)
        if width is None:
            return None
        needed = max(needed, _needed(interval.n, width, precision, share))
    return needed


def _needed(num_units: int, width: float, precision: float, share: float) -> int:
    """By the logarithm's reach, t (1 + 1/U) s / sqrt(U): s is what the interval at hand has."""

    def quantile(units: int) -> float:
        return two_sided(share, units - 1) * widening(units) / math.sqrt(units)

    goal = quantile(num_units) * math.log1p(precision) / math.log1p(width)
    low, high = 1, 2
    while quantile(high) > goal:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if quantile(middle) <= goal else (middle, high)
    return high
