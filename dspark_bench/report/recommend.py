"""The fastest measured configuration of every setting, how sure that is, and what would change it.

Nothing is extrapolated: only measured points are ranked, by their measured S. Left out of the
ranking, by name: points that are stale or whose timing is invalid (`Point.obstacle`), and those
whose output is not the target's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import MIN_UNITS
from dspark_bench.metrics.lossless import LOSSY
from dspark_bench.metrics.more_units import Ending, more_units
from dspark_bench.metrics.noise_floor import within_floor
from dspark_bench.reading.origin import Origin
from dspark_bench.reading.points import Gathered, Point
from dspark_bench.reading.rows import INTERRUPTED
from dspark_bench.report.changes import Change, changes_to_reach
from dspark_bench.report.ratios import SpeedRecords, is_by_prompt, measured_speedup
from dspark_bench.report.settings import (
    NO_DRAFTER,
    configuration_label,
    configuration_of,
    order_of,
    setting_label,
    setting_of,
    varying,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ranked point. speedup: its measured S; n is the number of resampling units."""

    label: str
    drafter: str
    point: Point
    speedup: Interval

    @property
    def noise_floor(self) -> float | None:
        """What its own baseline differed from itself by; None if not measured."""
        return self.point.number("noise_floor")

    @property
    def is_within_floor(self) -> bool:
        """Whether its whole interval lies within its noise floor of 1."""
        return within_floor(self.speedup, self.noise_floor)

    @property
    def beats_baseline(self) -> bool | None:
        """Whether S is above 1 outside of noise; False: below; None: not known."""
        if self.is_within_floor:
            return None
        if self.speedup.low is not None and self.speedup.low > 1:
            return True
        return False if self.speedup.high is not None and self.speedup.high < 1 else None


@dataclass(frozen=True, slots=True)
class Challenger:
    """A slower candidate. ratio: S of the winner over its own; is_paired: unit by unit.

    is_beaten: by a verdict that is simultaneous over all pairs of the setting's configurations;
    noise_floor: the larger one of the two points; None where neither measured one.
    """

    candidate: Candidate
    ratio: Interval
    is_paired: bool
    changes: tuple[Change, ...]
    noise_floor: float | None = None
    is_beaten: bool = False

    @property
    def is_within_floor(self) -> bool:
        """Whether the whole lead is no more than what a baseline differs from itself by."""
        return within_floor(self.ratio, self.noise_floor)

    @property
    def is_clear(self) -> bool:
        """Whether the winner's lead is outside of noise."""
        return self.is_beaten and not self.is_within_floor


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One setting's answer. challengers: by falling S, without the winner; notes: doubts.

    reason: why nothing here can be called clear, or None; broken: records that could not be used.
    """

    setting: str
    winner: Candidate
    challengers: tuple[Challenger, ...]
    notes: tuple[str, ...]
    reason: str | None = None
    broken: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin:
        """Where it was measured."""
        return self.winner.point.origin

    @property
    def level(self) -> tuple[Challenger, ...]:
        """Challengers that may be as fast as the winner."""
        return tuple(item for item in self.challengers if not item.is_clear)

    @property
    def ties(self) -> tuple[Challenger, ...]:
        """Those of them that were compared in pairs with enough units, and are not behind."""
        return () if self.reason else tuple(item for item in self.level if item.is_paired)

    @property
    def noise_floor(self) -> float | None:
        """What the winner's own baseline differed from itself by; None if not measured."""
        return self.winner.noise_floor

    @property
    def is_within_floor(self) -> bool:
        """Whether the winner's whole interval lies within its noise floor of 1."""
        return self.winner.is_within_floor

    @property
    def beats_baseline(self) -> bool | None:
        """Whether S is above 1 outside of noise; False: below; None: not known."""
        return self.winner.beats_baseline


def recommend(gathered: Gathered) -> tuple[Recommendation, ...]:
    """One recommendation per setting that has a point with a measured S.

    Raises ResultsError if there is none.
    """
    usable = [point for point in gathered.points if _obstacle(point) is None]
    if not usable:
        reasons = sorted({_obstacle(point) or "" for point in gathered.points})
        raise ResultsError(f"no point of {gathered.path} can be ranked: {'; '.join(reasons)}")
    groups: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for point in usable:
        groups.setdefault(tuple(setting_of(point).items()), []).append(point)
    origins = {key: points[0].origin for key, points in groups.items()}
    ordered = sorted(groups, key=lambda key: (origins[key].order, order_of(dict(key))))
    told_apart = {
        origin: varying([dict(key) for key in ordered if origins[key] == origin])
        for origin in origins.values()
    }
    records = SpeedRecords()
    labels = varying([configuration_of(point) for point in usable])
    return tuple(
        _recommend_one(
            setting_label(dict(key), told_apart[origins[key]]), groups[key], labels, records
        )
        for key in ordered
    )


def left_out(gathered: Gathered) -> tuple[tuple[Point, str], ...]:
    """Measured points that are not ranked, each with the reason."""
    found = ((point, _obstacle(point)) for point in gathered.points if point.is_measured)
    return tuple((point, reason) for point, reason in found if reason is not None)


def _obstacle(point: Point) -> str | None:
    """Why a point cannot be ranked."""
    if not point.is_measured:
        return point.status
    if point.obstacle is not None:
        return point.obstacle
    if point.text("drafter") == NO_DRAFTER:
        return "drafter=none: two baselines, which show the noise"
    is_simulated = (
        point.text("lossless_evidence") == "simulated"
    )  # ranked among its like, and named
    if point.text("lossless") == "false" and not is_simulated:
        is_lossy = point.text("lossless_evidence") == LOSSY
        why = "its rule is lossy" if is_lossy else "lossless is false"
        return f"its output is not the target's ({why})"
    if point.number("speedup") is None:
        return "no measured speedup (no steady part)"
    return None


def _recommend_one(
    setting: str, points: Sequence[Point], told_apart: Sequence[str], records: SpeedRecords
) -> Recommendation:
    kept, repeated = _one_per_configuration(points)
    candidates = [_candidate(point, told_apart) for point in kept]
    candidates.sort(key=lambda item: -(item.speedup.value or 0.0))
    compared = records.compare([item.point for item in candidates])
    winner = candidates[compared.fastest]
    others = [place for place in range(len(candidates)) if place != compared.fastest]
    drafters = [candidates[place].drafter for place in others]
    challengers = []
    for nth, place in enumerate(others):
        item, drafter = candidates[place], drafters[nth]
        is_next = nth == 0 or (drafter != winner.drafter and drafter not in drafters[:nth])
        changes = changes_to_reach(item.point, winner.speedup.value or 0.0) if is_next else ()
        challengers.append(
            Challenger(
                item,
                compared.ratios[place],
                compared.is_paired[place],
                changes,
                _larger_floor(winner.point, item.point),
                compared.is_beaten[place],
            )
        )
    found = Recommendation(
        setting, winner, tuple(challengers), (), compared.reason, compared.broken
    )
    return replace(found, notes=(*_doubts(found, kept), *repeated))


def _larger_floor(first: Point, second: Point) -> float | None:
    known = [point.number("noise_floor") for point in (first, second)]
    return max((floor for floor in known if floor is not None), default=None)


def _candidate(point: Point, told_apart: Sequence[str]) -> Candidate:
    chosen = configuration_of(point)
    return Candidate(
        configuration_label(chosen, told_apart), chosen["drafter"], point, measured_speedup(point)
    )


def _one_per_configuration(points: Sequence[Point]) -> tuple[list[Point], list[str]]:
    """The best supported measurement of each configuration (never the fastest), and a note on
    the others.
    """
    groups: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for point in points:
        groups.setdefault(tuple(sorted(configuration_of(point).items())), []).append(point)
    kept, notes = [], []
    for same in groups.values():
        # an exhibit may hold a copy of another one's point
        same = list({point.measurement: point for point in same}.values())
        same.sort(key=lambda p: (-(p.num_units("speedup") or 0), p.sweep))
        kept.append(same[0])
        if len(same) > 1:
            label = configuration_label(configuration_of(same[0]), ())
            speeds = ", ".join(f"{point.number('speedup'):.2f}" for point in same)
            notes.append(
                f"{label} was measured {len(same)} times (S {speeds}); ranked by "
                f"{same[0].sweep}/{same[0].point_id}"
            )
    return kept, notes


def _doubts(found: Recommendation, points: Sequence[Point]) -> list[str]:
    notes = []
    n, unit = found.winner.speedup.n, _unit(found.winner.point)
    counted = f"{n} {unit.removesuffix('s') if n == 1 else unit}"
    if found.winner.speedup.low is None or n < MIN_UNITS:
        more = more_units(MIN_UNITS, unit == "prompts", _ending(found.winner.point))
        notes.append(
            f"too little data: the winner rests on {counted}; {more} gives intervals that mean "
            "something"
        )
    notes += _floor_notes(found)
    if not found.challengers:
        notes.append("only one configuration was measured here, so there is nothing to compare")
    if found.broken:
        notes.append(f"leads are not all paired: {few(found.broken)}")
    revisions = {str(point.environment.get("code_hash")) for point in points}
    if len(revisions) > 1:
        notes.append(f"its points come from {len(revisions)} revisions of the code")
    if any(point.keys.get("acceptance") == "forced" for point in points):
        notes.append("acceptance is simulated (acceptance=forced)")
    return notes


def _floor_notes(found: Recommendation) -> list[str]:
    """A lead over no speculation that is clear of its interval, yet not of the noise floor."""
    floor, speedup = found.noise_floor, found.winner.speedup
    if floor is None or speedup.low is None or speedup.high is None or found.is_within_floor:
        return []
    is_near = 1 < speedup.low <= 1 + floor or 1 / (1 + floor) <= speedup.high < 1
    if not is_near:
        return []
    return [f"its interval reaches into the timing noise floor ({floor:.1%} around 1)"]


def _ending(point: Point) -> Ending:
    """What ended its measurement. Results that know no precision had repeats."""
    if point.status == INTERRUPTED:
        return Ending.SIGNAL
    is_repeated = point.keys.get("measure.precision") is None
    return Ending.REPEATS if is_repeated else Ending.PRECISION


def _unit(point: Point) -> str:
    return "prompts" if is_by_prompt(point) else "rounds"


def few(lines: Sequence[str]) -> str:
    """The first line, and how many more there are."""
    return lines[0] if len(lines) == 1 else f"{lines[0]}; and {len(lines) - 1} more"
