"""What would have to change for a point to reach another speedup, from its own measured terms.

S = r * E / (d + v + o): E tokens emitted per cycle; d, v, o the mean times of drafting, verifying
and the rest of a cycle in baseline steps; r what prefill and batching make of it (the last two
stages of the gap, as a ratio). One term is changed at a time, r and the others stay as measured.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dspark_bench.reading.points import Point

_REST = ("t_schedule_s", "t_accept_s", "t_engine_s")
_HALVINGS = 60
_CHAIN = "none"


@dataclass(frozen=True, slots=True)
class Change:
    """One term, as measured and as needed. needed: None if no value of it suffices; then `best`
    is the S that its best value gives (all drafts accepted, or no time at all).
    """

    term: str
    unit: str
    measured: float
    needed: float | None
    best: float

    @property
    def relative(self) -> float | None:
        """needed / measured - 1; None if nothing is needed that exists, or if 0 was measured."""
        return None if self.needed is None or not self.measured else self.needed / self.measured - 1


def changes_to_reach(point: Point, speedup: float) -> tuple[Change, ...]:
    """The single changes that would give `speedup`; empty where a term was not measured."""
    own, emitted = point.number("speedup"), point.number("emitted_length")
    step_s = point.number("baseline_step_s")
    times = [point.number(name) for name in ("t_draft_s", "t_verify_s", *_REST)]
    if not (own and emitted and step_s) or any(time is None for time in times):
        return ()
    draft, verify, *rest = [time / step_s for time in times if time is not None]
    cycle = draft + verify + sum(rest)
    wanted = speedup / own
    parts = (
        ("draft cost", draft),
        ("verify cost", verify),
        ("overhead", sum(rest)),
    )
    lengths = [Change("tokens per cycle", "tokens", emitted, emitted * wanted, float("inf"))]
    rate = _rate_change(point, emitted, emitted * wanted, own)
    lengths += [] if rate is None else [rate]
    costs = [_cost_change(name, cost, cycle, wanted, own) for name, cost in parts if cost and cycle]
    return (*lengths, *costs)


def _cost_change(name: str, cost: float, cycle: float, wanted: float, own: float) -> Change:
    needed = cycle / wanted - (cycle - cost)
    others = cycle - cost
    best = own * cycle / others if others > 0 else float("inf")
    return Change(name, "baseline steps per cycle", cost, needed if needed >= 0 else None, best)


def _rate_change(point: Point, emitted: float, wanted: float, own: float) -> Change | None:
    """alpha, with what the emitted length has beyond the i.i.d. formula kept as it is; None for
    trees, which the formula does not know.
    """
    if point.keys.get("tree", _CHAIN) != _CHAIN:
        return None
    alpha = point.number("alpha")
    shares = _verified_shares(point)
    if alpha is None or not shares:
        return None
    beyond = emitted - expected_length(alpha, shares)
    longest = beyond + expected_length(1.0, shares)
    needed = None
    if longest >= wanted:
        needed = _solve(lambda rate: beyond + expected_length(rate, shares), wanted, alpha)
    return Change("alpha", "", alpha, needed, own * longest / emitted)


def expected_length(alpha: float, shares: tuple[float, ...]) -> float:
    """1 + sum over k of alpha^k * P(l >= k): tokens per cycle if acceptances were independent.

    shares[k-1] = P(l >= k), the share of cycles that verify at least k drafts.
    """
    return 1.0 + sum(share * alpha ** (k + 1) for k, share in enumerate(shares))


def _verified_shares(point: Point) -> tuple[float, ...]:
    counts, positions = point.metrics.get("counts"), point.metrics.get("position_counts")
    cycles = counts.get("trial_cycles") if isinstance(counts, dict) else None
    verified = positions.get("verified") if isinstance(positions, dict) else None
    if not cycles or not isinstance(verified, list):
        return ()
    if isinstance(counts, dict) and counts.get("cycles", cycles) != cycles:
        return ()  # only some cycles speak about alpha, and their lengths are not those of all
    return tuple(float(count) / float(cycles) for count in verified)


def _solve(rising: Callable[[float], float], wanted: float, start: float) -> float:
    """Bisection for rising(x) = wanted on [0, 1]."""
    low, high = (start, 1.0) if rising(start) <= wanted else (0.0, start)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
