"""Which of several arms is fastest, by how much, and whether that is more than chance.

The winner is chosen from the data and then compared with the others, which alone makes equal arms
look different: of six equal ones over 24 prompts one is beaten in a third of cases if each lead is
judged by itself. So a lead is clear only if two judges that err in different ways agree: its
interval, simultaneous over all pairs of arms, excludes 1; and a randomisation test, which permutes
the arms' labels within each unit (exact for exchangeable arms, however skewed their times), meets a
studentised lead as large as this one, the largest over all pairs taken, in at most 5 % of draws.
Where the data is looked at several times, both share their error equally over the looks.
`make bench-leads` measures what that errs in. Called by `report`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import (
    MIN_UNITS,
    NO_SCATTER,
    SPEED_SIGNS,
    interval_of,
    left_out,
    log_ratio,
)
from dspark_bench.metrics.strata import IntArray, deviations, strata_of
from dspark_bench.metrics.units import FloatArray

ERROR: Final = 0.05
NUM_DRAWS: Final = 999
_CHUNK: Final = 250
"""Draws held in memory at once."""
_SAME: Final = 1e-9
PAIR_SIGNS: Final = (*SPEED_SIGNS, *(-sign for sign in SPEED_SIGNS))
"""Of the four sums of one arm, then of another: S over S."""


@dataclass(frozen=True, slots=True)
class ArmSums:
    """K arms over the same U units, which they were measured on in pairs.

    labels [K]; table [K, U, 4]: tokens and seconds of the arm, then tokens and seconds of its
    baseline, summed over each unit (a prompt where requests come one at a time, else a round). Arms
    that share a baseline repeat its sums. strata [U]: a number per stratum of the units, such as a
    prompt's domain; None: one for all.
    """

    labels: tuple[str, ...]
    table: FloatArray
    strata: IntArray | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for another shape, for equal labels and for sums that no run gives."""
        table = self.table
        if table.ndim != 3 or table.shape[0] != len(self.labels) or table.shape[2] != 4:
            raise ValueError(f"table is {table.shape}; valid: ({len(self.labels)}, units, 4)")
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels are {self.labels}; valid: one or more, each once")
        if not (np.isfinite(table).all() and (table >= 0).all()):
            raise ValueError("table holds a negative or missing sum")
        if not (table.sum(axis=1) > 0).all():
            raise ValueError("an arm or its baseline has no tokens or no time")
        strata_of(self.strata, table.shape[1])


@dataclass(frozen=True, slots=True)
class Lead:
    """The winner's lead over one challenger.

    ratio: S of the winner over S of the challenger; its interval covers, together with those of all
    other pairs of arms and looks, in 95 % of cases. p_value: share of the randomisation's draws
    whose largest lead over all pairs reaches this one; None where nothing was drawn.
    """

    challenger: str
    ratio: Interval
    p_value: float | None
    is_clear: bool


@dataclass(frozen=True, slots=True)
class Leads:
    """winner: the arm of highest S; leads: over the others, by falling S of theirs.

    p_value: of the randomisation test that all arms are equal, with the largest studentised lead
    over all pairs; None with one arm, or too few units; reason: why there is no verdict, or None.
    """

    winner: str
    leads: tuple[Lead, ...]
    p_value: float | None
    num_units: int
    reason: str | None

    @property
    def ties(self) -> tuple[str, ...]:
        """The winner and whoever is not clearly behind it, by falling S."""
        return (self.winner, *(lead.challenger for lead in self.leads if not lead.is_clear))

    @property
    def beaten(self) -> tuple[str, ...]:
        """Arms clearly behind the winner, by falling S."""
        return tuple(lead.challenger for lead in self.leads if lead.is_clear)


def find_leads(
    arms: ArmSums, num_looks: int = 1, seed: int = 0, num_draws: int = NUM_DRAWS
) -> Leads:
    """The winner and its leads. Pure and deterministic: equal arguments give equal results.

    num_looks: how often the data is looked at before a verdict stands, this time included;
    num_draws: of the randomisation. Raises ValueError for fewer than 1 look.
    """
    if num_looks < 1:
        raise ValueError(f"num_looks is {num_looks}; valid: 1 or more")
    num_arms, num_units, _ = arms.table.shape
    speeds = np.log(arms.table.sum(axis=1)) @ np.array(SPEED_SIGNS)
    order = np.argsort(-speeds, kind="stable")
    winner, error = int(order[0]), ERROR / num_looks
    ratios = [
        simultaneous(arms.table[[winner, other]], num_arms, error, arms.strata)
        for other in order[1:]
    ]
    reason = _obstacle(arms, winner)
    p_value, p_values = None, np.full(num_arms, np.nan)
    if num_arms > 1 and num_units >= MIN_UNITS:
        p_value, p_values = _randomise(arms, winner, seed, num_draws)
    leads = [
        Lead(
            arms.labels[other],
            ratio,
            None if p_value is None else float(p_values[other]),
            bool(p_values[other] <= error and ratio.low is not None and ratio.low > 1),
        )
        for other, ratio in zip(order[1:], ratios, strict=True)
    ]
    return Leads(arms.labels[winner], tuple(leads), p_value, num_units, reason)


def simultaneous(
    pair: FloatArray, num_arms: int, error: float = ERROR, strata: IntArray | None = None
) -> Interval:
    """S of the first arm over S of the second, pair [2, U, 4], strata [U] as in `ArmSums`.

    The interval is one of num_arms (num_arms - 1) / 2, which together miss in a share `error` of
    cases (Bonferroni: at most).
    """
    num_units, num_pairs = pair.shape[1], num_arms * (num_arms - 1) // 2
    both = np.concatenate([pair[0], pair[1]], axis=-1)
    if num_units < 2:
        value = np.exp(np.log(both.sum(axis=0)) @ np.array(PAIR_SIGNS))
        return Interval(float(value), None, None, num_units)
    return interval_of(log_ratio(both, PAIR_SIGNS, strata), 1 - error / num_pairs)


def _obstacle(arms: ArmSums, winner: int) -> str | None:
    table = arms.table
    num_arms, num_units, _ = table.shape
    if num_arms < 2:
        return "one arm: there is nothing to compare"
    if num_units < MIN_UNITS:
        return f"{num_units} units: no verdict below {MIN_UNITS}"
    own = np.broadcast_to(table[winner], (num_arms - 1, num_units, 4))
    both = np.concatenate([own, np.delete(table, winner, axis=0)], axis=-1)
    errors = log_ratio(both, PAIR_SIGNS, arms.strata).error
    if np.isnan(errors).any():
        return "one unit holds all tokens or all the time of an arm"
    if (errors < NO_SCATTER).all():
        return "no lead differs from unit to unit: one run counted twice, or a clock too coarse?"
    return None


def _randomise(arms: ArmSums, winner: int, seed: int, num_draws: int) -> tuple[float, FloatArray]:
    """p of the largest studentised lead over all pairs, and of the winner's leads [K].

    The observed labels count as one of the draws, so that p is never 0.
    """
    table, strata = arms.table, strata_of(arms.strata, arms.table.shape[1])
    observed = _studentised(table[None], strata)[0]
    random = np.random.default_rng(seed)
    largest = np.concatenate(
        [
            _studentised(_relabelled(table, random, min(_CHUNK, num_draws - start)), strata).max(
                axis=(-2, -1)
            )
            for start in range(0, num_draws, _CHUNK)
        ]
    )

    def p_of(lead: FloatArray) -> FloatArray:
        reached = largest >= np.asarray(lead)[..., None] * (1 - _SAME)
        return np.asarray((1 + reached.sum(axis=-1)) / (1 + num_draws))

    return float(p_of(observed.max())), p_of(observed[winner])


def _relabelled(table: FloatArray, random: np.random.Generator, num_draws: int) -> FloatArray:
    """[D, K, U, 4]: in every unit of every draw, the arms in an order of its own."""
    num_arms, num_units, _ = table.shape
    orders = np.argsort(random.random((num_draws, num_arms, num_units)), axis=1)
    return np.asarray(table[orders, np.arange(num_units)])


def _studentised(tables: FloatArray, strata: Sequence[IntArray]) -> FloatArray:
    """[..., K, K] |log S_i - log S_j| over its jackknife error, for tables [..., K, U, 4].

    0 where two arms are the same. An error that cannot be estimated makes no lead.
    """
    logs = np.log(tables.sum(axis=-2)) @ np.array(SPEED_SIGNS)
    apart = deviations(left_out(tables, SPEED_SIGNS, strata), strata)
    products = apart @ np.swapaxes(apart, -1, -2)
    own = np.diagonal(products, axis1=-2, axis2=-1)
    squares = own[..., :, None] + own[..., None, :] - 2 * products
    scatter = np.sqrt(np.maximum(squares, NO_SCATTER**2))
    leads = np.abs(logs[..., :, None] - logs[..., None, :]) / scatter
    return np.asarray(np.nan_to_num(leads, nan=0.0, posinf=0.0))
