"""The interval of a ratio of pooled sums: Student's t of its logarithm, honest at few units.

Units differ in size, so three things make the textbook interval too narrow at few of them (of equal
arms over 6 recorded prompts it excludes 1 in 10 % of cases). A large unit draws the pooled ratio to
itself, which hides its own scatter: the error is the jackknife's, which leaves each unit out in
turn. A few large units carry the rest: the degrees of freedom are Satterthwaite's for these sizes
(Bell and McCaffrey 2002), U - 1 only for equal ones. Ratios of text are skewed: the quantile is
widened by 1 + 1/U. `make bench-leads` measures what remains. Where units have strata, such as
prompts of several domains, only what they differ by within these counts (`strata`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.strata import (
    IntArray,
    error_and_degrees,
    strata_of,
    sums_without_each,
    widening,
)
from dspark_bench.metrics.student import two_sided
from dspark_bench.metrics.units import FloatArray

MIN_UNITS: Final = 6
"""Below this many units no difference is called real, whatever the interval says."""
SHARE: Final = 0.95
NO_SCATTER: Final = 1e-9
"""Standard error of a log ratio below which its units differ by rounding alone."""
SPEED_SIGNS: Final = (1.0, -1.0, -1.0, 1.0)
"""Of tokens and seconds of one side, then of the other: speed over speed."""


@dataclass(frozen=True, slots=True)
class LogRatio:
    """Logarithms of pooled ratios [...] over U units, their standard errors and degrees of freedom.

    error, degrees: NaN where a single unit holds the whole of a sum, so that leaving it out leaves
    nothing; num_strata: H.
    """

    value: FloatArray
    error: FloatArray
    degrees: FloatArray
    num_units: int
    num_strata: int = 1

    @property
    def widening(self) -> float:
        """What the quantile of Student's t is multiplied by."""
        return widening(self.num_units, self.num_strata)


def log_ratio(
    table: FloatArray,
    signs: tuple[float, ...] = SPEED_SIGNS,
    strata: IntArray | None = None,
) -> LogRatio:
    """Pooled sums multiplied (sign 1) and divided (sign -1). Pure; vectorised over [...].

    table [..., U, C]: sums by unit, 0 or more, U of 2 or more; no column may be all 0; strata [U]:
    a number per stratum, those of fewer than 2 units form one. The value is the same with or
    without them. Raises ValueError for strata of another length.
    """
    num_units, parts = table.shape[-2], strata_of(strata, table.shape[-2])
    totals = table.sum(axis=-2, keepdims=True)
    value = (np.log(totals) @ np.array(signs))[..., 0]
    without = left_out(table, signs, parts)
    error, degrees = error_and_degrees(without, (table / totals).mean(axis=-1), parts)
    return LogRatio(value, error, degrees, num_units, len(parts))


def left_out(table: FloatArray, signs: tuple[float, ...], strata: Sequence[IntArray]) -> FloatArray:
    """[..., U] the logarithm of the pooled ratio without each unit; NaN where nothing is left.

    strata: as `strata_of` gives them.
    """
    rest = sums_without_each(table, strata)
    is_left = rest > 1e-12 * table.sum(axis=-2, keepdims=True)
    return np.asarray(np.log(np.where(is_left, rest, np.nan)) @ np.array(signs))


def log_ratio_interval(
    table: FloatArray, share: float = SHARE, strata: IntArray | None = None
) -> Interval:
    """Ratio of two pooled speeds with its interval. n: units.

    table [U, 4]: tokens and seconds of the first side, then of the second; rows of zeros count as
    units. Without ends where fewer than two units carry anything, where one holds the whole of a
    sum, and where the units do not differ at all, so that nothing tells how sure the ratio is.
    """
    return ratio_interval(table, SPEED_SIGNS, share, strata)


def ratio_interval(
    table: FloatArray,
    signs: tuple[float, ...],
    share: float = SHARE,
    strata: IntArray | None = None,
) -> Interval:
    """The same for any product and quotient of sums [U, C], as in `log_ratio`."""
    num_units = len(table)
    if not (table.sum(axis=0) > 0).all():
        return Interval(None, None, None, num_units)
    if num_units < 2:
        value = float(np.exp(np.log(table.sum(axis=0)) @ np.array(signs)))
        return Interval(value, None, None, num_units)
    return interval_of(log_ratio(table, signs, strata), share)


def interval_of(found: LogRatio, share: float = SHARE) -> Interval:
    """Ratio and interval of one estimate, whose fields have shape []."""
    value, error = float(np.exp(found.value)), float(found.error)
    if np.isnan(error) or error < NO_SCATTER:
        return Interval(value, None, None, found.num_units)
    reach = np.exp(found.widening * two_sided(share, float(found.degrees)) * error)
    return Interval(value, float(value / reach), float(value * reach), found.num_units)
