"""How much faster the fastest point of a setting is than the others, and whether that is chance.

S is compared in pairs: by prompt where requests come one at a time, else round by round, from the
records of both points, which took turns in one block. What cannot be paired is never called clear.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.leads import Leads
from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.metrics.strata import widening
from dspark_bench.metrics.student import two_sided
from dspark_bench.reading.points import Point
from dspark_bench.reading.speeds import Speeds, leads_among, paired_ratio, read_speeds


@dataclass(frozen=True, slots=True)
class Comparison:
    """Points of one setting against the fastest of them.

    fastest: its place among the points; ratios: S of the fastest over S of each, by place;
    is_paired, is_beaten: of each by place; reason: why there is no verdict, or None; broken: what
    is wrong with records that could not be used, one line each.
    """

    fastest: int
    ratios: tuple[Interval, ...]
    is_paired: tuple[bool, ...]
    is_beaten: tuple[bool, ...]
    reason: str | None
    broken: tuple[str, ...]


class SpeedRecords:
    """Tokens and seconds by unit, read once per point."""

    def __init__(self) -> None:
        self._found: dict[Path, Speeds | str] = {}

    def compare(self, points: Sequence[Point]) -> Comparison:
        """Compare points of one setting, given by falling S; a single one needs no records."""
        if len(points) == 1:
            alone = Interval(1.0, None, None, 0)
            return Comparison(0, (alone,), (False,), (False,), None, ())
        tables = [self._speeds(point) for point in points]
        broken = tuple(dict.fromkeys(table for table in tables if isinstance(table, str)))
        leads, places = _find(tables, [point.text("block_id") for point in points])
        fastest = int(leads.winner) if leads is not None else 0
        ratios = [_unpaired(points[fastest], point) for point in points]
        beaten: set[int] = set()
        for lead in () if leads is None else leads.leads:
            ratios[int(lead.challenger)] = lead.ratio
            if lead.is_clear:
                beaten.add(int(lead.challenger))
        marks = range(len(points))
        return Comparison(
            fastest,
            tuple(ratios),
            tuple(place in places for place in marks),
            tuple(place in beaten for place in marks),
            None if leads is None else leads.reason,
            broken,
        )

    def ratio(self, first: Point, second: Point, num_arms: int = 2) -> Interval | None:
        """S of one point over S of another one of its block, as `paired_ratio`; None where their
        records cannot be paired.
        """
        ours, theirs = self._speeds(first), self._speeds(second)
        if isinstance(ours, str) or isinstance(theirs, str):
            return None
        try:
            return paired_ratio(ours, theirs, num_arms)
        except ResultsError:
            return None

    def _speeds(self, point: Point) -> Speeds | str:
        """By unit, or why there are none."""
        if point.folder not in self._found:
            self._found[point.folder] = _read_speeds(point)
        return self._found[point.folder]


def _find(
    tables: Sequence[Speeds | str], blocks: Sequence[str]
) -> tuple[Leads | None, frozenset[int]]:
    """Leads among the points that can be paired with the first one, and which those are: those of
    its block, where its results know blocks at all.
    """
    first = tables[0]
    if isinstance(first, str):
        return None, frozenset()
    paired = {
        place: table
        for place, table in enumerate(tables)
        if not isinstance(table, str)
        and blocks[place] == blocks[0]
        and set(table.table.index) == set(first.table.index)
    }
    if len(paired) < 2:
        return None, frozenset()
    try:
        leads = leads_among({str(place): speeds for place, speeds in paired.items()})
    except ResultsError:
        return None, frozenset()
    return leads, frozenset(paired)


def measured_speedup(point: Point) -> Interval:
    """S of a point with its interval and units."""
    return point.interval("speedup")


def _unpaired(first: Point, second: Point) -> Interval:
    own, other = measured_speedup(first), measured_speedup(second)
    return unpaired_ratio(own, other, (first.level, second.level))


def unpaired_ratio(
    first: Interval, second: Interval, levels: tuple[float, float] = (SHARE, SHARE)
) -> Interval:
    """first / second from their intervals, taken as independent: Welch's t of the logarithm,
    widened as `log_ratio` does. levels: what each of them covers; the ratio's covers the larger.
    """
    assert first.value is not None and second.value is not None
    value, n = first.value / second.value, min(first.n, second.n)
    ours, theirs = _log_error(first, levels[0]), _log_error(second, levels[1])
    if ours is None or theirs is None:
        return Interval(value, None, None, n)
    error, degrees = _welch(ours, first.n - 1, theirs, second.n - 1)
    reach = math.exp(two_sided(max(levels), degrees) * error * widening(n))
    return Interval(value, value / reach, value * reach, n)


def _log_error(interval: Interval, level: float) -> float | None:
    """Standard error of the logarithm. Units count as equal in size: where they are not, fewer
    degrees of freedom made the interval wider, and so makes this error larger than it is.
    """
    if not interval.low or not interval.high or interval.n < 2:
        return None
    quantile = two_sided(level, interval.n - 1) * widening(interval.n)
    return math.log(interval.high / interval.low) / 2 / quantile


def _welch(ours: float, our_degrees: int, theirs: float, their_degrees: int) -> tuple[float, float]:
    """Standard error of the difference, and its degrees of freedom by Satterthwaite."""
    square = ours**2 + theirs**2
    if square == 0:
        return 0.0, float(our_degrees + their_degrees)
    degrees = square**2 / (ours**4 / our_degrees + theirs**4 / their_degrees)
    return math.sqrt(square), degrees


def is_by_prompt(point: Point) -> bool:
    """Whether a prompt is a unit: one request at a time; else it is a round."""
    return (point.text("load"), point.text("concurrency")) == ("closed", "1")


def _read_speeds(point: Point) -> Speeds | str:
    """Or why there are none, by the name of the point: a report says nothing of this machine."""
    name = f"{point.sweep}/{point.point_id}"
    concurrency = int(point.number("concurrency") or 2)
    try:
        return read_speeds(point.folder, point.metrics, point.text("load"), concurrency)
    except KeyError as error:
        return f"{name}: no times are recorded (no column {error})"
    except ResultsError as error:
        return str(error).replace(str(point.folder), name)
