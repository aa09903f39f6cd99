"""What a prediction starts from: one drafter on one traffic, its recorded acceptance, its S."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.export.axis import CLOSED, traffic_of
from dspark_bench.export.counts import accepted_counts, rejected_counts, trial_cycles
from dspark_bench.export.drafter import DrafterId, drafter_id, is_plain
from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.points import Gathered, Point
from dspark_bench.reading.rows import TIMING_INVALID
from dspark_bench.report.ratios import measured_speedup
from dspark_bench.report.settings import NO_DRAFTER, traffic_label, varying

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Acceptance:
    """conditional [gamma]: acceptance of the drafts decided at each position, None where none was;
    gamma: the draft length that it was recorded at; num_cycles: of the record.
    """

    conditional: tuple[float | None, ...]
    gamma: int
    num_cycles: int


@dataclass(frozen=True, slots=True)
class Base:
    """label: drafter and traffic; points: measured, full drafts in closed loops; owners: every
    point of this drafter and traffic, also those whose scheduler chose lengths: some hold costs;
    left_out: drafters of the results that no record of full drafts speaks for.
    """

    label: str
    points: tuple[Point, ...]
    owners: tuple[Point, ...]
    left_out: tuple[str, ...] = ()

    @property
    def gammas(self) -> tuple[int, ...]:
        """Draft lengths measured, rising."""
        return tuple(sorted({gamma_of(point) for point in self.points}))

    @property
    def loads(self) -> tuple[int, ...]:
        """Requests at once measured, rising."""
        return tuple(sorted({requests_of(point) for point in self.points}))

    def acceptance(self, gamma: int) -> Acceptance | str:
        """Of drafts of this length; where it was not measured, of the next longer ones, cut; or
        why there is none. Counts are pooled over loads: acceptance belongs to models and prompts.
        """
        longer = [length for length in self.gammas if length >= gamma]
        if not longer:
            return (
                f"acceptance was recorded for drafts up to {self.gammas[-1]}; valid: gamma up to "
                f"{self.gammas[-1]}"
            )
        own = [point for point in self.points if gamma_of(point) == longer[0]]
        own = list({point.measurement: point for point in own}.values())
        accepted = [sum(accepted_counts(point)[place] for point in own) for place in range(gamma)]
        rejected = [sum(rejected_counts(point)[place] for point in own) for place in range(gamma)]
        decided = [a + r for a, r in zip(accepted, rejected, strict=True)]
        shares = [a / n if n else None for a, n in zip(accepted, decided, strict=True)]
        return Acceptance(tuple(shares), longer[0], sum(map(trial_cycles, own)))

    def measured(self, gamma: int, requests: int) -> Interval | None:
        """S of the measured point of the same length and load with the most units, if any."""
        same = [
            measured_speedup(point)
            for point in self.points
            if (gamma_of(point), requests_of(point)) == (gamma, requests)
            and point.status != TIMING_INVALID
        ]
        known = [found for found in same if found.value is not None]
        return max(known, key=lambda found: found.n, default=None)


def find_base(gathered: Gathered) -> Base:
    """The one drafter and traffic of the points.

    Raises ResultsError if there is none, UsageError, naming them, if there are several.
    """
    groups: dict[tuple[tuple[tuple[str, str], ...], DrafterId], list[Point]] = {}
    for point in gathered.points:
        if point.is_measured and point.text("drafter") != NO_DRAFTER:
            key = (tuple(traffic_of(point).items()), drafter_id(point))
            groups.setdefault(key, []).append(point)
    usable = {key: own for key, own in groups.items() if any(map(_is_usable, own))}
    if not usable:
        raise ResultsError(
            f"no acceptance is recorded in {gathered.path}: it takes measured points with "
            "scheduler=fixed and tree=none in closed loops, and a drafter that always drafts gamma "
            "tokens"
        )
    labels = _labels(list(usable))
    if len(usable) > 1:
        shown = "; ".join(labels[:_MOST_NAMED])
        more = f"; and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else ""
        raise UsageError(
            f"the results hold {len(usable)} drafters or settings ({shown}{more}); name one by "
            "KEY=VALUE, such as drafter=semi_ar workload=math"
        )
    (((_, drafter), own),) = usable.items()
    others = dict.fromkeys(other[0] for _, other in groups if other != drafter)
    return Base(labels[0], tuple(filter(_is_usable, own)), tuple(own), tuple(others))


def _labels(keys: Sequence[tuple[tuple[tuple[str, str], ...], DrafterId]]) -> list[str]:
    traffics: list[Mapping[str, str]] = [dict(traffic) for traffic, _ in keys]
    named = varying(traffics)
    return [
        f"{' '.join(filter(None, drafter[:2]))}, {traffic_label(traffic, named)}"
        for traffic, (_, drafter) in zip(traffics, keys, strict=True)
    ]


def _is_usable(point: Point) -> bool:
    """Whether full drafts were verified in a closed loop and counted by position."""
    accepted, rejected = accepted_counts(point), rejected_counts(point)
    if not (trial_cycles(point) and accepted and rejected):
        return False
    is_full = accepted[0] + rejected[0] >= trial_cycles(point)  # `ngram` finds nothing at times
    is_full = is_full and point.text("falls_short").lower() != "true"
    return is_full and is_plain(point) and point.text("load") in ("", CLOSED)


def gamma_of(point: Point) -> int:
    """Its draft length."""
    return int(point.number("gamma") or 0)


def requests_of(point: Point) -> int:
    """How many requests it served at once."""
    return int(point.number("concurrency") or 1)
