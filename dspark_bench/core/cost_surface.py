"""What a decode cycle costs as a function of its batch: measured points and what lies between.

Admitting drafts until throughput falls (DSpark, Algorithm 1) finds the best batch where the cost is
convex and never falls, so a lower envelope with these properties stands beside the measured curve.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dspark_bench.core.random_streams import Floats

FLAT_RISE = 0.02
"""A curve that rises by less than this share from its first to its last point is called flat."""
DIP = 0.05
"""A fall by more than this share between neighbouring points is called non-monotone."""


@dataclass(frozen=True, slots=True)
class CostSurface:
    """Seconds per cycle on a grid.

    requests [n]: numbers of requests, rising; widths [m]: verify lengths, rising from 0;
    step_s [n][m]: all of a cycle but drafting, when every request verifies that many drafts;
    slots [k]: draft lengths, rising from 1; draft_s [n][k]: proposing that many for every request;
    absorb_s [n]: the drafter's part of a cycle that proposes nothing: it reads what was committed;
    uneven_s [n]: what a cycle takes longer where requests verify different lengths, because rows
    must be sorted into padded attention calls and out of them.
    """

    requests: tuple[int, ...]
    widths: tuple[int, ...]
    step_s: tuple[tuple[float, ...], ...]
    slots: tuple[int, ...]
    draft_s: tuple[tuple[float, ...], ...]
    absorb_s: tuple[float, ...]
    uneven_s: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for a grid that is out of order, incomplete or not positive."""
        for name, grid, first in (
            ("requests", self.requests, 1),
            ("widths", self.widths, 0),
            ("slots", self.slots, 1),
        ):
            if not grid or grid[0] < first or list(grid) != sorted(set(grid)):
                raise ValueError(f"{name} is {list(grid)}; valid: rising from {first}")
        if self.widths[0] != 0:
            raise ValueError(f"widths is {list(self.widths)}; valid: its first is 0")
        num_rows = len(self.requests)
        _check_table("step_s", self.step_s, (num_rows, len(self.widths)), has_zero=False)
        _check_table("draft_s", self.draft_s, (num_rows, len(self.slots)), has_zero=True)
        _check_table("absorb_s", (self.absorb_s,), (1, num_rows), has_zero=True)
        _check_table("uneven_s", (self.uneven_s,), (1, num_rows), has_zero=True)

    def warnings(self) -> tuple[str, ...]:
        """What makes the measured curves doubtful: flatness, dips."""
        found = []
        for size, row in zip(self.requests, self.step_s, strict=True):
            if len(row) > 1 and row[-1] < row[0] * (1 + FLAT_RISE):
                found.append(
                    f"flat at {size} requests: verifying {self.widths[-1]} drafts of each costs "
                    f"{row[-1] / row[0] - 1:+.1%}, so nearly everything is verified"
                )
            if any(after < before * (1 - DIP) for before, after in pairwise(row)):
                found.append(f"not monotone at {size} requests: its envelope is used")
        return tuple(found)

    def step_curve(self, num_requests: int, is_raw: bool = False) -> tuple[Floats, Floats]:
        """Drafts per request [m] and seconds [m] for a batch of num_requests.

        On the envelope, or on the measured points as they are.
        """
        xs = np.asarray(self.widths, dtype=np.float64)
        measured = [np.asarray(row) for row in self.step_s]
        rows = np.array(measured if is_raw else [_envelope(xs, row) for row in measured])
        return xs, np.array([_at(num_requests, self.requests, column) for column in rows.T])

    def draft_curve(self, num_slots: int) -> tuple[Floats, Floats]:
        """Requests [n + 1] from 0 and seconds [n + 1] to propose num_slots for each of them."""
        columns = np.maximum.accumulate(np.asarray(self.draft_s), axis=1)
        times = [_at(num_slots, self.slots, row) for row in columns]
        return np.array([0.0, *self.requests]), np.maximum.accumulate([times[0] / 2, *times])

    def absorb_at(self, num_requests: int) -> float:
        """Seconds in which the drafter reads what a cycle has committed."""
        return _at(num_requests, self.requests, np.asarray(self.absorb_s))

    def uneven_at(self, num_requests: int) -> float:
        """Seconds that a cycle of different lengths takes longer."""
        return _at(num_requests, self.requests, np.asarray(self.uneven_s))


def evaluate(curve: tuple[Floats, Floats], wanted: Floats) -> Floats:
    """The curve at wanted [n], linear between its points; past the last its slope goes on."""
    xs, ys = curve
    slope = (ys[-1] - ys[-2]) / (xs[-1] - xs[-2]) if xs.size > 1 else 0.0
    inside = np.interp(wanted, xs, ys)
    return np.asarray(inside + np.maximum(wanted - xs[-1], 0.0) * slope)


def _check_table(
    name: str, table: tuple[tuple[float, ...], ...], shape: tuple[int, int], has_zero: bool
) -> None:
    sizes = [len(row) for row in table]
    if sizes != [shape[1]] * shape[0]:
        raise ValueError(f"{name} has rows of {sizes}; valid: {shape[0]} rows of {shape[1]}")
    values = np.asarray(table, dtype=np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all() and (has_zero or values.all())):
        raise ValueError(f"{name} holds a value that is no positive number of seconds")


def _at(where: float, grid: tuple[int, ...], values: Floats) -> float:
    """Linear between grid points, the first value below, the last slope (never falling) above."""
    if where > grid[-1] and len(grid) > 1:
        slope = (values[-1] - values[-2]) / (grid[-1] - grid[-2])
        return float(values[-1] + max(0.0, slope) * (where - grid[-1]))
    return float(np.interp(where, grid, values))


def _envelope(xs: Floats, ys: Floats) -> Floats:
    """Largest convex non-decreasing function below the points, at the points."""
    falling = np.minimum.accumulate(ys[::-1])[::-1]
    hull: list[int] = []
    for place in range(xs.size):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            rise = (falling[b] - falling[a]) * (xs[place] - xs[a])
            if rise <= (falling[place] - falling[a]) * (xs[b] - xs[a]):
                break
            hull.pop()
        hull.append(place)
    return np.interp(xs, xs[hull], falling[hull])
