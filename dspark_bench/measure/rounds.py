"""What the rounds of a measurement serve, and how its arms take turns in each.

A round is the smallest part that is whole: every arm has served the same requests in it. With
`measure.precision` a round brings prompts that have not been served before, since repeats of a
prompt say little that its first run did not; without, every round serves all requests again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from dspark_bench.config.point_config import PointConfig
from dspark_bench.config.schema import MeasureSettings
from dspark_bench.config.sizes import round_size
from dspark_bench.core.types import Request
from dspark_bench.metrics.units import ROUND_PROMPTS


class Style(Enum):
    """How arms take turns within a round."""

    ONE_BY_ONE = "one request after the other, side by side in each"
    TOGETHER = "side by side in all requests of a round"
    WHOLE_SETS = "all requests each"


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """rounds: the requests of each, at most so many; style: how arms take turns; concurrency:
    requests at once; notes: what a reader must know of the prompts.
    """

    style: Style
    concurrency: int
    rounds: tuple[tuple[Request, ...], ...]
    notes: tuple[str, ...] = ()

    def sets(self, number: int) -> list[tuple[Request, ...]]:
        """What one turn serves, for the turns of one round in order."""
        requests = self.rounds[number]
        if self.style is Style.ONE_BY_ONE:
            return [(request,) for request in requests]
        return [requests]

    def first_block(self, number: int) -> int:
        """Running number of a round's first set."""
        return sum(len(self.sets(earlier)) for earlier in range(number))

    @property
    def num_sets(self) -> int:
        """Sets of all rounds."""
        return self.first_block(len(self.rounds))

    @property
    def round_units(self) -> tuple[int, ...]:
        """What each round adds to the units of an interval: its prompts with one user, else 1."""
        return tuple(len(r) if self.style is Style.ONE_BY_ONE else 1 for r in self.rounds)


def turn_style(point: PointConfig, concurrency: int) -> Style:
    """One request a turn for one user; all of a round in other closed loops; else whole sets, one
    arm after the other, whose arrivals are the same for every arm.
    """
    if point.load.name != "closed":
        return Style.WHOLE_SETS
    return Style.ONE_BY_ONE if concurrency == 1 else Style.TOGETHER


def plan_rounds(point: PointConfig, requests: Sequence[Request], concurrency: int) -> RoundPlan:
    """`measure.repeats` rounds of all requests; with `measure.precision`, at most
    `measure.max_rounds` of new ones.
    """
    style = turn_style(point, concurrency)
    if point.measure.precision is None:
        return RoundPlan(style, concurrency, (tuple(requests),) * point.measure.repeats)
    most, repeats = point.measure.max_rounds, point.measure.repeats
    notes: tuple[str, ...] = ()
    if repeats != MeasureSettings.repeats:
        notes += (f"measure.repeats={repeats} counts with measure.precision=null alone",)
    if style is Style.WHOLE_SETS:
        return RoundPlan(style, concurrency, (tuple(requests),) * most, notes)
    if style is Style.ONE_BY_ONE:
        starts = range(0, len(requests), ROUND_PROMPTS)
        rounds = [tuple(requests[start : start + ROUND_PROMPTS]) for start in starts]
        return RoundPlan(style, concurrency, tuple(rounds[:most]), notes)
    size = min(round_size(concurrency), len(requests))
    rounds = [_window(requests, number * size, size) for number in range(most)]
    if len(requests) < most * size:
        num = len(requests)
        notes += (f"rounds may repeat prompts: the result is for these {num} prompts only",)
    return RoundPlan(style, concurrency, tuple(rounds), notes)


def most_served(point: PointConfig, concurrency: int) -> int:
    """Requests that an arm serves at most, over all rounds."""
    if point.measure.precision is None:
        return point.num_requests * point.measure.repeats
    style, most = turn_style(point, concurrency), point.measure.max_rounds
    if style is Style.ONE_BY_ONE:
        return min(point.num_requests, most * ROUND_PROMPTS)
    is_whole = style is Style.WHOLE_SETS
    size = point.num_requests if is_whole else round_size(concurrency)
    return most * min(size, point.num_requests)


def _window(requests: Sequence[Request], start: int, size: int) -> tuple[Request, ...]:
    """`size` requests from `start` on, from the beginning again past the end."""
    return tuple(requests[(start + place) % len(requests)] for place in range(size))
